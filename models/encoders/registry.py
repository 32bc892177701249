"""Point encoders by the name that `--model` takes."""

from inspect import signature

from torch import nn

from models.encoders.dgcnn import DGCNN
from models.encoders.dgcnn_seg import DGCNNSegEncoder
from models.encoders.pointnet import PointNet
from models.encoders.pointnet_tnet import PointNetTNet

ENCODERS = {"dgcnn": DGCNN, "dgcnn_seg": DGCNNSegEncoder, "pointnet": PointNet, "pointnet_tnet": PointNetTNet}
EMB_DIMS, MAX_EMB_DIMS = 1024, 16384  # the published width, and the largest


def build_encoder(name: str, k: int = 15, emb_dims: int = EMB_DIMS) -> nn.Module:
    """Build a freshly initialised encoder: points (B, N, 3) -> feature (B, encoder.feature_dim).

    Args:
        name: a key of `ENCODERS`.
        k: neighbours per point; an encoder without a graph takes none.
        emb_dims: width of the embedding; the feature of dgcnn is twice as wide, that of the others as wide.
    Raises:
        ValueError: unknown name.
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown point encoder {name!r}; choose one of {', '.join(ENCODERS)}")
    graph = {"k": k} if has_graph(name) else {}
    return ENCODERS[name](**graph, emb_dims=emb_dims)


def has_graph(name: str) -> bool:
    """Return whether an encoder of that name searches neighbours, so that `k` matters to it."""
    return name in ENCODERS and "k" in signature(ENCODERS[name]).parameters


def encoder_name(encoder: nn.Module) -> str:
    """Return the key of ENCODERS under which an encoder was built.

    Raises:
        KeyError: its class is not in the table.
    """
    return {kind: name for name, kind in ENCODERS.items()}[type(encoder)]
