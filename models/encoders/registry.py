"""Point encoders by the name that `--model` takes."""

from inspect import signature

from torch import nn

from models.encoders.dgcnn import DGCNN
from models.encoders.dgcnn_seg import DGCNNSegEncoder
from models.encoders.pointbert import PointBERT, PointBERT512
from models.encoders.pointmlp import PointMLP
from models.encoders.pointnet import PointNet
from models.encoders.pointnet2 import PointNet2
from models.encoders.pointnet_tnet import PointNetTNet
from models.encoders.pointnext import PointNeXt

ENCODERS = {
    "dgcnn": DGCNN,
    "dgcnn_seg": DGCNNSegEncoder,
    "pointnet": PointNet,
    "pointnet_tnet": PointNetTNet,
    "pointnet2": PointNet2,
    "pointmlp": PointMLP,
    "pointnext": PointNeXt,
    "pointbert": PointBERT,
    "pointbert_512": PointBERT512,
}
EMB_DIMS, MAX_EMB_DIMS = 1024, 16384  # the published width of CrossPoint's encoders, and the largest


def build_encoder(name: str, k: int = 15, emb_dims: int | None = None) -> nn.Module:
    """Build a freshly initialised encoder: points (B, N, 3) -> feature (B, encoder.feature_dim).

    Args:
        name: a key of `ENCODERS`.
        k: neighbours per point; an encoder without a graph takes none.
        emb_dims: width of the embedding, None: `published_width`; the features of dgcnn and pointbert are twice as
            wide, those of the others as wide.
    Raises:
        ValueError: unknown name, or a width that the encoder cannot have.
    """
    graph = {"k": k} if has_graph(name) else {}
    width = published_width(name) if emb_dims is None else emb_dims
    return ENCODERS[name](**graph, emb_dims=width)


def published_width(name: str) -> int:
    """Return `emb_dims` of the published encoder of that name.

    Raises:
        ValueError: unknown name.
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown point encoder {name!r}; choose one of {', '.join(ENCODERS)}")
    return signature(ENCODERS[name]).parameters["emb_dims"].default


def has_graph(name: str) -> bool:
    """Return whether an encoder of that name searches neighbours, so that `k` matters to it."""
    return name in ENCODERS and "k" in signature(ENCODERS[name]).parameters


def check_neighbours(name: str, k: int, flag: str, num_points: int) -> None:
    """Refuse a `k` above the number of points of a cloud, where an encoder of that name searches neighbours.

    Args:
        flag: the name of the flag that sets `num_points`.
    Raises:
        ValueError: too few points for k.
    """
    if has_graph(name) and num_points < k:
        raise ValueError(f"--{flag} {num_points} must be at least --k {k}")


def encoder_name(encoder: nn.Module) -> str:
    """Return the key of ENCODERS under which an encoder was built.

    Raises:
        KeyError: its class is not in the table.
    """
    return {kind: name for name, kind in ENCODERS.items()}[type(encoder)]
