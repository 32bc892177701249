"""Write states of pre-training runs with tiny settings."""

from pathlib import Path

import torch

from models.encoders.image_resnet import ImageResNet
from models.encoders.registry import build_encoder
from models.methods.crosspoint import CrossPoint
from utils.run.state import save_atomically

FLAGS = {
    "model": "dgcnn", "k": 5, "num_points": 61, "image_depth": 18, "image_size": 32, "background": "black",
    "cmid_weight": 1.0, "rotation": "y", "max_scale": 2.0, "translation": 0.5, "max_dropout": 0.875,
    "data_root": "data",
}  # fmt: skip


def write_state(path: Path, *, seed: int = 0, **changes) -> Path:
    """Write the last.pt of an untrained CrossPoint whose flags are FLAGS with `changes`."""
    torch.manual_seed(seed)
    flags = FLAGS | changes
    method = CrossPoint(build_encoder(flags["model"], flags["k"]), ImageResNet(flags["image_depth"]))
    save_atomically({"method": method.state_dict(), "config": flags}, path)
    return path
