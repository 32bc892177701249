"""Point encoders by the name that `--model` takes."""

from torch import nn

from models.encoders.dgcnn import DGCNN
from models.encoders.dgcnn_seg import DGCNNSegEncoder
from models.encoders.pointnet import PointNet

ENCODERS = {"dgcnn": DGCNN, "dgcnn_seg": DGCNNSegEncoder, "pointnet": PointNet}


def build_encoder(name: str, k: int = 15) -> nn.Module:
    """Build a freshly initialised encoder: points (B, N, 3) -> feature (B, encoder.feature_dim).

    Args:
        name: a key of `ENCODERS`.
        k: neighbours per point; PointNet has no graph and takes none.
    Raises:
        ValueError: unknown name.
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown point encoder {name!r}; choose one of {', '.join(ENCODERS)}")
    return PointNet() if name == "pointnet" else ENCODERS[name](k=k)


def encoder_name(encoder: nn.Module) -> str:
    """Return the key of ENCODERS under which an encoder was built.

    Raises:
        KeyError: its class is not in the table.
    """
    return {kind: name for name, kind in ENCODERS.items()}[type(encoder)]
