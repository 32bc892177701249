"""Features of all layers: each layer pooled over each cloud as the encoder pools, side by side at unit length."""

import pytest
import torch
from torch.testing import assert_close

from models.encoders.registry import ENCODERS, build_encoder
from models.layers.all_layers import AllLayers

NUM_CLOUDS, NUM_POINTS = 2, 23
WITH_LAYERS = [name for name, kind in ENCODERS.items() if hasattr(kind, "pooled_layers")]


def levels_of(name, encoder, points):
    """Return the features of every point (B * N, C) after each layer but the last."""
    if name == "dgcnn_seg":
        return encoder._levels(points)
    levels = encoder.per_point(points)[0]
    return {"dgcnn": levels, "pointnet": levels[:-1], "pointnet_tnet": [*levels[1:3], *levels[4:-1]]}[name]


def test_the_encoders_of_whole_clouds_offer_their_layers():
    assert WITH_LAYERS == ["dgcnn", "dgcnn_seg", "pointnet", "pointnet_tnet"]


@pytest.mark.parametrize("name", WITH_LAYERS)
def test_a_layer_is_pooled_as_the_encoder_pools_and_has_unit_length(name):
    torch.manual_seed(0)
    encoder = build_encoder(name, 5, 31).double().eval()
    points = torch.randn(NUM_CLOUDS, NUM_POINTS, 3, dtype=torch.float64)
    expected = []
    for number in range(NUM_CLOUDS):
        blocks = []
        for level in levels_of(name, encoder, points):
            rows = level[number * NUM_POINTS : (number + 1) * NUM_POINTS]
            blocks.append(torch.cat([rows.max(0).values, rows.mean(0)]) if name == "dgcnn" else rows.max(0).values)
        blocks.append(encoder(points)[number])
        expected.append(torch.cat([block / block.norm() for block in blocks]))
    assert_close(AllLayers(encoder)(points), torch.stack(expected))
