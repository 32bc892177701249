"""PointNet with T-Nets: what the alignments do, and the penalty that training adds for them."""

import copy

import torch
from torch import nn
from torch.testing import assert_close

from models.encoders.pointnet import PointNet
from models.encoders.pointnet_tnet import PointNetTNet
from models.encoders.tnet import TNet, transform_penalty


def turned(dtype=torch.float64):
    """Build an encoder whose alignments are not the identity."""
    torch.manual_seed(0)
    encoder = PointNetTNet(32).to(dtype)
    for stn in (encoder.stn1, encoder.stn2):
        nn.init.normal_(stn.mlp2[-1].weight, std=0.02)
    return encoder


def test_parameters_are_as_many_as_published():
    encoder = PointNetTNet()
    parts = (encoder.stn1, encoder.stn2, encoder.mlp1, encoder.mlp2)
    counts = [sum(p.numel() for p in part.parameters()) for part in parts]
    assert counts == [803_081, 1_857_344, 4_672, 147_008]
    assert sum(p.numel() for p in encoder.parameters()) == 2_812_105


def test_layers_have_their_published_names():
    shapes = {name: tuple(value.shape) for name, value in PointNetTNet().named_parameters()}
    assert shapes["mlp1.0.weight"] == (64, 3, 1)
    assert shapes["mlp2.3.weight"] == (128, 64, 1)
    assert shapes["stn1.mlp1.6.weight"] == (1024, 128, 1)
    assert shapes["stn2.mlp2.6.weight"] == (64 * 64, 256)


def test_features_equal_those_of_convolutions_with_column_vectors_multiplied_from_the_left():
    encoder, points = turned(), torch.randn(3, 23, 3, dtype=torch.float64)
    twin, x = copy.deepcopy(encoder), points.transpose(1, 2)  # (B, 3, N)
    for stn, mlp in ((twin.stn1, twin.mlp1), (twin.stn2, twin.mlp2)):
        matrix = stn.mlp2(stn.mlp1(x).amax(dim=2)).unflatten(1, (x.shape[1], -1)) + torch.eye(x.shape[1])
        x = mlp(matrix.double() @ x)
    assert_close(encoder(points), x.amax(dim=2))
    assert_close(dict(encoder.named_buffers()), dict(twin.named_buffers()))


def test_an_untrained_alignment_is_the_identity():
    rows = torch.randn(2 * 11, 3)
    assert torch.equal(TNet(3)(rows, 2), rows)


def test_the_penalty_sums_what_both_matrices_of_each_cloud_lack_to_be_rotations():
    encoder, points = turned(), torch.randn(3, 23, 3, dtype=torch.float64)
    matrices = []
    for stn in (encoder.stn1, encoder.stn2):
        predict = stn.predict
        stn.predict = lambda *args, predict=predict: matrices.append(predict(*args)) or matrices[-1]
    encoder(points)
    expected = []
    for cloud in range(3):
        gaps = [m[cloud] @ m[cloud].T - torch.eye(m.shape[-1], dtype=m.dtype) for m in matrices]
        expected.append(sum(0.5 * gap.square().sum() for gap in gaps))
    assert_close(transform_penalty(nn.ModuleList([encoder])), torch.stack(expected))


def test_the_penalty_reaches_the_alignments_and_draws_them_to_rotations():
    encoder, points = turned(), torch.randn(4, 23, 3, dtype=torch.float64)
    encoder(points)
    before = transform_penalty(encoder).sum()
    before.backward()
    with torch.no_grad():
        for stn in (encoder.stn1, encoder.stn2):
            last = stn.mlp2[-1]
            last.weight -= 1e-7 * last.weight.grad
    encoder(points)
    assert 0 < transform_penalty(encoder).sum() < before


def test_there_is_no_penalty_in_eval_mode_nor_without_t_nets_and_a_copy_leaves_it_behind():
    encoder, points = turned(), torch.randn(2, 23, 3, dtype=torch.float64)
    encoder(points)
    assert transform_penalty(copy.deepcopy(encoder)) is None
    assert transform_penalty(encoder).shape == (2,)
    encoder.eval()(points)
    assert transform_penalty(encoder) is None
    assert transform_penalty(PointNet()) is None
