"""A frozen image network of a wheel or a file, as a teacher of whole shapes: a feature of every view."""

from pathlib import Path

from torch import Tensor, nn

from models.encoders.image_resnet import ImageResNet
from models.encoders.images.efficientnet_lite import load_efficientnet
from models.encoders.multiview_resnet import MultiViewResNet
from models.weights.teacher_file import is_teacher, load_teacher
from models.weights.weight_file import read_weights, unwrap

_DEFAULT_SIZE = 224  # of torchvision's networks


class ViewFeatures(nn.Module):
    """The mean of the last map of a network that `scripts.pretrain_images` has trained.

    Shape: images (B, 3, S, S), ImageNet-normalised -> feature (B, map_dim).
    """

    def __init__(self, network: MultiViewResNet):
        super().__init__()
        self.network, self.feature_dim, self.image_size = network, network.map_dim, network.image_size

    def forward(self, images: Tensor) -> Tensor:
        return self.network.maps(images[None])[0].mean(dim=(2, 3))


def load_image_teacher(name: str) -> nn.Module:
    """Load a network in eval mode: images (B, 3, S, S), ImageNet-normalised, to features (B, feature_dim).

    Args:
        name: "imagenet", EfficientNet-Lite0 of its wheel; or a file: a torchvision state dict of a ResNet-18, 34 or 50,
            or models/teacher_last.pth of scripts.pretrain_images.
    Raises:
        FileNotFoundError: no such file.
        ValueError: the wheel is not installed, or the file is damaged or of another network.
    """
    if name == "imagenet":
        return load_efficientnet()
    if not Path(name).is_file():
        raise FileNotFoundError(
            f"no image teacher at {name}; pass none, imagenet, a torchvision state dict of a ResNet, or "
            "models/teacher_last.pth of python -m scripts.pretrain_images"
        )
    state = read_weights(name)
    if is_teacher(state):
        return ViewFeatures(load_teacher(name)).eval()
    state = unwrap(state)
    depth = 50 if "layer1.0.conv3.weight" in state else 34 if "layer1.2.conv1.weight" in state else 18
    return ImageResNet(depth, name).eval()


def default_size(teacher: nn.Module) -> int:
    """Return the side of the images that a teacher sees by default."""
    return getattr(teacher, "image_size", None) or _DEFAULT_SIZE
