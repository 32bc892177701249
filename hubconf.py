"""Encoders for torch.hub: `torch.hub.load(DIR, "dgcnn", source="local", weights=FILE)` with DIR, a checkout of this.

FILE may also be the name of shipped weights, such as dgcnn-open: see pretrained/README.md.

Each returns an nn.Module in eval mode: points (B, N, 3) -> feature (B, D). Clouds should be as in training: of radius 1
about the origin, y up, for weights of a pre-training. A project that has packages named `models`, `datasets` or `utils`
of its own cannot load this in the same process: export to .pt2 or .onnx instead.
"""

from torch import nn

from models.encoders.registry import build_encoder
from utils.pretrained import load
from utils.processes.device import get_device

dependencies = ["torch", "numpy", "scipy", "tqdm"]


def dgcnn(weights: str | None = None, *, k: int | None = None, device: str = "cpu") -> nn.Module:
    """Return the DGCNN encoder, D = 2048.

    Args:
        weights: a file or name that `utils.pretrained.load` reads; None gives untrained weights.
        k: neighbours per point; None takes the file's, else 15.
        device: cpu, cuda, cuda:N or auto.
    Raises:
        FileNotFoundError, ValueError: as `utils.pretrained.load`; also a file of another encoder.
    """
    return _encoder("dgcnn", weights, k, device)


def dgcnn_seg(weights: str | None = None, *, k: int | None = None, device: str = "cpu") -> nn.Module:
    """Return the encoder of DGCNN for part segmentation, D = 1024; see `dgcnn`."""
    return _encoder("dgcnn_seg", weights, k, device)


def pointnet(weights: str | None = None, *, device: str = "cpu") -> nn.Module:
    """Return the PointNet encoder, D = 1024; see `dgcnn`."""
    return _encoder("pointnet", weights, None, device)


def pointnet_tnet(weights: str | None = None, *, device: str = "cpu") -> nn.Module:
    """Return the PointNet encoder with T-Nets, D = 1024; see `dgcnn`."""
    return _encoder("pointnet_tnet", weights, None, device)


def pointnet2(weights: str | None = None, *, device: str = "cpu") -> nn.Module:
    """Return the PointNet++ encoder, D = 1024; see `dgcnn`."""
    return _encoder("pointnet2", weights, None, device)


def pointmlp(weights: str | None = None, *, device: str = "cpu") -> nn.Module:
    """Return the PointMLP encoder, D = 1024; see `dgcnn`."""
    return _encoder("pointmlp", weights, None, device)


def pointnext(weights: str | None = None, *, device: str = "cpu") -> nn.Module:
    """Return the PointNeXt-S encoder, D = 512; see `dgcnn`."""
    return _encoder("pointnext", weights, None, device)


def pointbert(weights: str | None = None, *, device: str = "cpu") -> nn.Module:
    """Return the Point-BERT encoder on 64 groups, D = 768; see `dgcnn`."""
    return _encoder("pointbert", weights, None, device)


def pointbert_512(weights: str | None = None, *, device: str = "cpu") -> nn.Module:
    """Return the Point-BERT encoder on 512 groups, D = 768; see `dgcnn`."""
    return _encoder("pointbert_512", weights, None, device)


def _encoder(name: str, weights: str | None, k: int | None, device: str) -> nn.Module:
    if weights is None:
        return build_encoder(name, k or 15).to(get_device(device)).eval()
    loaded = load(weights, k=k, device=device)
    if loaded.name != name:
        raise ValueError(f"{weights} holds weights of {loaded.name}: load it by that name, not as {name}")
    return loaded.module
