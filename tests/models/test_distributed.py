"""Two processes with half of the clouds each compute what one process computes with all of them."""

import pytest
import torch
from torch import distributed, nn
from torch.testing import assert_close

from models.distributed import SyncBatchNorm, get_rank
from models.layers.edge_conv import EdgeConv, FirstEdgeConv
from models.layers.neighbours import knn
from models.layers.pooled_conv import PooledConv
from models.layers.row_norm import PointwiseConv
from models.rows import CloudRows, flat_index
from tests.support.random_norms import randomise_norms
from tests.support.several_processes import run_in_processes

B, N, C, D, K = 4, 12, 5, 7, 4


def layers():
    """Build one layer of each kind, by name."""
    torch.manual_seed(0)
    kinds = (EdgeConv, FirstEdgeConv, PointwiseConv, PooledConv)
    return {kind.__name__: randomise_norms(kind(C, D).double()) for kind in kinds}


def outputs_and_gradients(layer, points, direction):
    """Return output, input gradient and parameter gradients of a layer on clouds (B, N, C)."""
    x = points.flatten(0, 1).requires_grad_()
    index, clouds = flat_index(knn(points.detach(), K)), CloudRows([N] * len(points))
    arguments = {PointwiseConv: (), PooledConv: (clouds,)}.get(type(layer), (index, clouds))
    out = layer(x, *arguments)
    out = torch.cat(out, dim=1) if isinstance(out, tuple) else out.reshape(len(x), -1)
    (out * direction[: len(out), : out.shape[1]]).sum().backward()
    return [out.detach(), x.grad, *(p.grad for p in layer.parameters())]


def data():
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(B, N, C, dtype=torch.float64, generator=generator) + 3
    return points, torch.randn(B * N, K * D, dtype=torch.float64, generator=generator)


def half(values, rank, size=2):
    return values[len(values) // size * rank : len(values) // size * (rank + 1)]


def of_every_layer():
    """Report outputs, gradients and running statistics of each layer on this rank's clouds, by name."""
    rank, (points, direction), report = get_rank(), data(), {}
    for name, layer in layers().items():
        layer = nn.SyncBatchNorm.convert_sync_batchnorm(layer)
        rows = half(direction[:B] if name == "PooledConv" else direction, rank)
        out, *gradients = outputs_and_gradients(layer, half(points, rank), rows)
        for gradient in gradients[1:]:  # of the parameters: the sum over processes is that of all clouds
            distributed.all_reduce(gradient)
        report[name] = [out, *gradients, layer[1].running_mean, layer[1].running_var]
    return report


def in_bfloat16():
    """Normalise a channel far from 0 on both ranks; return the errors of result, gradient and statistics."""
    generator = torch.Generator().manual_seed(0)
    rows, grads = (torch.randn(2, 8, 6, 40, generator=generator) * 0.3).add(torch.tensor([3.0, 0]).view(2, 1, 1, 1))
    share = slice(get_rank() * 4, (get_rank() + 1) * 4)
    exact, found = rows.bfloat16().double().requires_grad_(), rows.bfloat16()[share].requires_grad_()
    whole, norm = nn.BatchNorm1d(6).double(), SyncBatchNorm(6)
    expected, given = whole(exact), norm(found)
    expected.backward(grads.bfloat16().double())
    given.backward(grads.bfloat16()[share])
    pairs = (given, expected[share]), (found.grad, exact.grad[share]), (norm.running_mean, whole.running_mean)
    return [((a.double() - b).norm() / b.norm()).item() for a, b in pairs]


def both():
    return of_every_layer(), in_bfloat16()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What `both` returns on each of two ranks."""
    return run_in_processes(both, 2, tmp_path_factory.mktemp("ranks"))


def test_statistics_are_those_of_all_processes(reports):
    points, direction = data()
    for name, layer in layers().items():
        together = outputs_and_gradients(layer, points, direction)
        together += [layer[1].running_mean, layer[1].running_var]
        for number, expected in enumerate(together):
            for rank, (of_layers, _) in enumerate(reports):
                mine = half(expected, rank) if number < 2 else expected  # output and input gradient are by cloud
                assert_close(of_layers[name][number], mine, rtol=1e-9, atol=1e-9, msg=f"{name} {number} {rank}")


def test_statistics_of_bfloat16_are_not_rounded_to_it(reports):
    for _, (result, gradient, statistics) in reports:
        assert max(result, gradient) < 0.003
        assert statistics < 1e-5
