"""Point towers of ULIP: an encoder, its head and the projection into the space of texts and images.

Source: Xue et al. 2023, arXiv:2212.05171, and its code (salesforce/ULIP).
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from models.encoders.registry import build_encoder
from models.weights.published import import_state
from models.weights.tower_names import HEADS, ULIP, split_tower
from models.weights.weight_file import check_tensors, read_weights, unwrap

_PROJECTION = "pc_projection"
# Two layers between encoder and projection: dropout, bias of the linear maps, and how ULIP names the four parts.
_LAYERS = {
    "pointnet2": (0.4, True, ("fc1", "bn1", "fc2", "bn2")),
    "pointmlp": (0.5, True, ("classifier.0", "classifier.1", "classifier.4", "classifier.5")),
    "pointnext": (
        *(0.5, False),
        ("prediction.head.0.0", "prediction.head.0.1", "prediction.head.2.0", "prediction.head.2.1"),
    ),
}


class PointTower(nn.Module):
    """An encoder, ULIP's two layers on top of it and a projection; other encoders have no such layers.

    Shape: points (B, N, 3) -> (B, space_dim), not of unit length.

    Args:
        name: a key of `models.encoders.registry.ENCODERS`.
        space_dim: width of the space shared with texts and images; ULIP: 512.
        k: neighbours per point, for an encoder with a graph.
    Raises:
        ValueError: unknown name.
    """

    def __init__(self, name: str, space_dim: int = 512, k: int = 15):
        super().__init__()
        self.encoder = build_encoder(name, k)
        self.head, width = nn.Sequential(), self.encoder.feature_dim
        if name in _LAYERS:
            dropout, has_bias, _ = _LAYERS[name]
            for before, after in ((width, 512), (512, 256)):
                linear, norm = nn.Linear(before, after, bias=has_bias), nn.BatchNorm1d(after)
                self.head.extend([linear, norm, nn.ReLU(inplace=True), nn.Dropout(dropout)])
            width = 256
        self.projection = nn.Parameter(torch.randn(width, space_dim) * space_dim**-0.5)

    def forward(self, points: Tensor) -> Tensor:
        return self.head(self.encoder(points)) @ self.projection


def load_point_tower(path: str | Path, name: str | None = None) -> PointTower:
    """Load the point tower out of a file of ULIP, strictly; its other branches are left out.

    Args:
        path: a state dict with `point_encoder.` and `pc_projection`, alone or as `state_dict` of a checkpoint.
        name: the expected encoder; None accepts whichever the file holds.
    Raises:
        FileNotFoundError: no such file.
        ValueError: no such state dict, of another encoder, or a tensor is missing, unexpected or of another shape.
    """
    state = read_weights(path)
    try:
        state = unwrap(state)
        check_tensors(state)
        tower = split_tower(state)
        if tower is None or not any(key.startswith(ULIP) for key in state) or _PROJECTION not in state:
            raise ValueError(
                f"no point tower of ULIP: expected {ULIP}* of one of {', '.join(HEADS)}, and {_PROJECTION}; "
                "programs with --model_path read an encoder alone"
            )
        found, own, others = tower
        if name not in (None, found):
            raise ValueError(f"this is a tower of {found}, not of {name}")
        projection = state[_PROJECTION]
        network = PointTower(found, projection.shape[-1])
        own = {f"encoder.{key}": value for key, value in own.items()} | {"projection": projection}
        parts = _LAYERS[found][2] if found in _LAYERS else ()
        names = dict(zip([ULIP + part for part in parts], (0, 1, 4, 5), strict=False))
        for key in others:
            layer, _, tensor = key.rpartition(".")
            if key.startswith(ULIP):
                own[f"head.{names[layer]}.{tensor}" if layer in names else key] = state[key]
        import_state(own, network, found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return network
