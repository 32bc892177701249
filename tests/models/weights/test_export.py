"""Encoders in plain operations: equal to those of training, and traceable.

Tracing DGCNN and PointNet, at several sizes, is in tests/scripts/test_export_program.py and test_export_formats.py.
"""

import copy
from unittest.mock import Mock

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from models.encoders import dgcnn
from models.encoders.registry import ENCODERS, build_encoder
from models.layers.local_encoder import LocalEncoder
from models.layers.neighbours import knn, knn_rows
from models.weights import export
from models.weights.export import export_encoder, neighbour_rows, plain_encoder
from tests.support.random_norms import randomise_norms

TRACED = [name for name, kind in ENCODERS.items() if not issubclass(kind, LocalEncoder)]


def trained(name, k=5, dtype=torch.float64):
    """Build an encoder in eval mode whose BatchNorms have scales of both signs and moved statistics."""
    torch.manual_seed(0)
    encoder = randomise_norms(build_encoder(name, k).to(dtype).eval())
    if name == "dgcnn_seg":
        nn.init.normal_(encoder.transform_net.transform.weight, std=0.01)
    if name == "pointnet_tnet":
        for stn in (encoder.stn1, encoder.stn2):
            nn.init.normal_(stn.mlp2[-1].weight, std=0.01)
    return encoder


@pytest.mark.parametrize("name", TRACED)
def test_features_equal_those_of_the_encoder_far_from_the_origin(name):
    encoder = trained(name)
    points = torch.randn(3, 41, 3, dtype=torch.float64) + 10
    assert_close(plain_encoder(encoder)(points), encoder(points), rtol=1e-9, atol=1e-9)


def test_far_from_the_origin_no_more_is_lost_to_rounding_than_by_the_encoder():
    encoder = trained("dgcnn", dtype=torch.float32)
    points = torch.randn(2, 67, 3) + 100
    assert_close(plain_encoder(encoder)(points), encoder(points), rtol=1e-3, atol=1e-3)


def test_neighbours_are_those_of_the_encoder_where_no_distances_are_equal():
    points = torch.randn(3, 41, 7, dtype=torch.float64) + 5
    start = torch.arange(3)[:, None, None] * 41
    assert torch.equal(neighbour_rows(points, 6).unflatten(0, (3, 41)), knn(points, 6) + start)


def test_on_a_grid_rounding_decides_between_neighbours_and_nothing_else_differs(monkeypatch):
    encoder = trained("dgcnn", k=11, dtype=torch.float32)
    exact, plain = copy.deepcopy(encoder).double(), plain_encoder(encoder)
    side = torch.linspace(-0.7, 0.7, 6)
    grid = torch.cartesian_prod(side, side, side)[None]  # most points have 6, then 12 others at equal distances
    loose = grid + 0.1 * torch.rand(grid.shape, generator=torch.Generator().manual_seed(0))

    def deviations(points, expected):
        features = exact(points.double()), plain(points)
        return [float((feature - expected).norm() / expected.norm()) for feature in features]

    with torch.inference_mode():
        chosen = []
        monkeypatch.setattr(dgcnn, "knn_rows", lambda *args: chosen.append(knn_rows(*args)) or chosen[-1])
        of_grid = encoder(grid)
        monkeypatch.undo()
        assert max(deviations(loose, encoder(loose))) < 1e-5
        assert min(deviations(grid, of_grid)) > 1e-5
        for module, name in ((dgcnn, "knn_rows"), (export, "neighbour_rows")):
            monkeypatch.setattr(module, name, Mock(side_effect=chosen))
        assert max(deviations(grid, of_grid)) < 1e-5


def test_a_plain_encoder_has_weights_of_its_own():
    encoder = trained("dgcnn")
    plain, points = plain_encoder(encoder), torch.randn(1, 23, 3, dtype=torch.float64)
    before = plain(points)
    torch.nn.init.zeros_(encoder.conv1[0].weight)
    assert torch.equal(plain(points), before)


@pytest.mark.parametrize("name", ["dgcnn_seg", "pointnet_tnet"])
def test_a_traced_encoder_takes_any_number_of_clouds_and_of_enough_points(name):
    encoder = trained(name, k=3, dtype=torch.float32)
    program = export_encoder(encoder).module()
    for batch, num_points in ((1, 3), (2, 41), (7, 12)):
        points = torch.randn(batch, num_points, 3)
        assert_close(program(points), encoder(points), rtol=1e-4, atol=1e-4)
    if name == "dgcnn_seg":
        with pytest.raises(AssertionError, match=">= 3"):
            program(torch.randn(2, 2, 3))


@pytest.mark.parametrize("name", sorted(ENCODERS.keys() - TRACED))
def test_an_encoder_that_samples_farthest_points_is_refused_with_what_to_do_instead(name):
    with torch.device("meta"):
        encoder = build_encoder(name)
    with pytest.raises(ValueError, match=f"^{name} samples farthest points .*: pass --format safetensors"):
        export_encoder(encoder)


def test_what_is_no_encoder_is_refused():
    with pytest.raises(TypeError, match="expected one of DGCNN, DGCNNSegEncoder, PointNet, PointNetTNet, got Linear"):
        plain_encoder(nn.Linear(3, 3))
