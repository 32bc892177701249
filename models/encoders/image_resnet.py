"""Image encoder: torchvision's ResNet, from scratch as published or from ImageNet weights."""

from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from models.weights.weight_file import check_tensors, load_exactly, read_weights, unwrap

DEPTHS = (18, 34, 50)
_OF_BRANCH = "resnet."  # before the names of an image branch, ours or CrossPoint's authors'


class ImageResNet(nn.Module):
    """torchvision ResNet without its classifier.

    Shape: images (B, 3, H, W), ImageNet-normalised -> feature (B, 512) for depth 18 and 34, (B, 2048) for 50.

    Args:
        depth: 18, 34 or 50; CrossPoint uses 50.
        weights: "none" (random, as published), "imagenet" (torchvision downloads them), or the path of a
            torchvision state dict or of an image branch, img_model_*.pth of a run, of which the head is left out.
    Raises:
        ValueError: unknown depth, or a weight file whose keys do not fit.
        OSError: weight file missing, or the download failed.
    """

    def __init__(self, depth: int = 50, weights: str = "none"):
        super().__init__()
        self.depth = depth
        self.resnet = torchvision_resnet(depth, weights)
        self.feature_dim = self.resnet.fc.in_features
        self.resnet.fc = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.resnet(images.contiguous(memory_format=torch.channels_last))


def torchvision_resnet(depth: int, weights: str, left_out: tuple[str, ...] = ()) -> nn.Module:
    """Build torchvision's ResNet.

    Args:
        depth: one of DEPTHS.
        weights: as of ImageResNet.
        left_out: tensors whose names begin so stay random where the weights are those of a file.
    Raises: as ImageResNet.
    """
    if depth not in DEPTHS:
        raise ValueError(f"image encoder depth must be one of {DEPTHS}, got {depth}")
    try:
        resnet = torchvision.models.get_model(f"resnet{depth}", weights="DEFAULT" if weights == "imagenet" else None)
    except OSError as error:
        place = Path(torch.hub.get_dir()) / "checkpoints"
        raise OSError(f"no ImageNet weights of ResNet-{depth} ({error}); put its file into {place}") from error
    if weights in ("none", "imagenet"):
        return resnet
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"no image weights at {path}; pass none, imagenet or a torchvision state dict")
    state = unwrap(read_weights(path))
    try:
        check_tensors(state)
        if any(key.startswith(_OF_BRANCH) for key in state):
            state = {key.removeprefix(_OF_BRANCH): value for key, value in state.items() if key.startswith(_OF_BRANCH)}
            left_out = (*left_out, "fc.")
        fresh = resnet.state_dict()
        own = {key: value for key, value in fresh.items() if key.startswith(left_out)}
        counts = {key: value for key, value in fresh.items() if key.endswith("num_batches_tracked")}
        load_exactly(resnet, counts | state | own)  # files of 2018 and before have no counts
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} does not hold torchvision weights of this ResNet: {error}") from error
    return resnet
