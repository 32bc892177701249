"""Aligned towers of two features, by which self-training can be followed by hand."""

import math

import torch
from torch import nn

from models.methods.text_alignment import AlignedTowers


class Flat(nn.Flatten):
    """Takes its input for its feature."""

    feature_dim = emb_dims = 3
    depth = 18


def toy_towers(scale: float = 10.0) -> AlignedTowers:
    """Build towers of 2 classes that compare the first of three numbers with 0; the second they do not look at yet."""
    towers = AlignedTowers(Flat(), Flat(), 2, text={"text": "toy"}, image_size=1)
    for projection in (towers.point_projection, towers.image_projection):
        projection.weight.data = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    towers.logit_scale.data.fill_(math.log(scale))
    towers.set_classes(["left", "right"], torch.tensor([[-1.0, 1.0], [0.0, 0.0]]))
    return towers


def toy_batch(count: int = 64) -> tuple[dict, torch.Tensor]:
    """Make two clusters, and which is which: images show it, the first number of points is wrong for a third."""
    generator = torch.Generator().manual_seed(0)
    side = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    sees = torch.where(torch.arange(count) % 3 == 0, -1.0, 1.0)
    one = torch.ones(count)
    inputs = {"image": torch.stack([3 * side, side, one], 1), "points": torch.stack([2 * side * sees, side, one], 1)}
    shapes = {"image": (count, 3, 1, 1), "points": (count, 1, 3)}
    batch = {f"{name}_{kind}": rows.view(shapes[name]) for name, rows in inputs.items() for kind in ("weak", "strong")}
    return batch | {"index": torch.arange(count)}, (side > 0).long()
