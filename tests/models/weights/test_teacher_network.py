"""Image teachers of files."""

import pytest
import torch
import torchvision
from torch import nn

from models.weights import teacher_network
from models.weights.teacher_file import load_teacher
from models.weights.teacher_network import default_size, load_image_teacher
from tests.support.multiview_runs import write_teacher


def test_a_file_of_our_own_gives_the_mean_of_its_last_map(tmp_path):
    path = write_teacher(tmp_path / "teacher.pth")
    teacher, images = load_image_teacher(str(path)), torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        feature, maps = teacher(images), load_teacher(path).maps(images[None])
    torch.testing.assert_close(feature, maps[0].mean(dim=(2, 3)))
    assert (teacher.feature_dim, teacher.training, default_size(teacher)) == (512, False, 224)


def test_a_torchvision_file_gives_the_feature_before_its_classifier(tmp_path):
    torch.manual_seed(0)
    resnet = torchvision.models.resnet18().eval()
    torch.save(resnet.state_dict(), tmp_path / "resnet.pth")
    teacher, images = load_image_teacher(str(tmp_path / "resnet.pth")), torch.randn(2, 3, 32, 32)
    resnet.fc = nn.Identity()
    with torch.inference_mode():
        torch.testing.assert_close(teacher(images), resnet(images))
    assert (teacher.feature_dim, teacher.training) == (512, False)


@pytest.mark.parametrize(
    ("names", "depth"),
    [(["layer1.1.conv2"], 18), (["layer1.2.conv1", "layer1.2.conv2"], 34), (["layer1.0.conv3", "layer1.2.conv1"], 50)],
)
def test_the_depth_is_read_off_a_torchvision_file(names, depth, tmp_path, monkeypatch):
    torch.save({f"{name}.weight": torch.zeros(1) for name in names}, tmp_path / "resnet.pth")
    monkeypatch.setattr(teacher_network, "ImageResNet", lambda depth, path: nn.Linear(depth, 1))
    assert load_image_teacher(str(tmp_path / "resnet.pth")).in_features == depth


def test_another_file_and_none_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image teacher at nothing.pth; pass none, imagenet"):
        load_image_teacher("nothing.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="other.pth does not hold torchvision weights"):
        load_image_teacher(str(tmp_path / "other.pth"))
