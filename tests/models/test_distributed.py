"""Two processes with half of the clouds each compute what one process computes with all of them."""

import copy
import os

import torch
from torch import distributed, multiprocessing, nn
from torch.testing import assert_close

from models.distributed import SyncBatchNorm, get_rank
from models.layers.edge_conv import EdgeConv, FirstEdgeConv
from models.layers.neighbours import knn
from models.layers.pooled_conv import PooledConv
from models.layers.row_norm import PointwiseConv
from models.rows import CloudRows, flat_index
from tests.support.several_processes import run_in_processes

B, N, C, D, K = 4, 12, 5, 7, 4


def layers():
    """One of each kind, by name; called on (x, index, clouds)."""
    torch.manual_seed(0)
    made = {kind.__name__: kind(C, D).double() for kind in (EdgeConv, FirstEdgeConv, PointwiseConv, PooledConv)}
    for layer in made.values():
        nn.init.normal_(layer[1].weight)
    return made


def outputs_and_gradients(layer, points, direction):
    """Output, input gradient and parameter gradients of the layer on clouds (B, N, C), in a direction for each."""
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


def worker(rank, path):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    distributed.init_process_group("gloo", init_method=f"file://{path}/store", rank=rank, world_size=2)
    points, direction = data()
    report = {}
    for name, layer in layers().items():
        layer = nn.SyncBatchNorm.convert_sync_batchnorm(layer)
        rows = half(direction[:B] if name == "PooledConv" else direction, rank)
        out, *gradients = outputs_and_gradients(layer, half(points, rank), rows)
        for gradient in gradients[1:]:  # of the parameters: the sum over processes is that of all clouds
            distributed.all_reduce(gradient)
        report[name] = [out, *gradients, layer[1].running_mean, layer[1].running_var]
    torch.save(report, f"{path}/{rank}.pt")
    distributed.destroy_process_group()


def test_statistics_are_those_of_all_processes(tmp_path):
    multiprocessing.spawn(worker, (str(tmp_path),), nprocs=2)
    reports = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    points, direction = data()
    for name, layer in layers().items():
        together = outputs_and_gradients(copy.deepcopy(layer), points, direction)
        layer_after = layer
        outputs_and_gradients(layer_after, points, direction)
        together += [layer_after[1].running_mean, layer_after[1].running_var]
        for number, expected in enumerate(together):
            for rank in range(2):
                mine = half(expected, rank) if number < 2 else expected  # output and input gradient are by cloud
                assert_close(reports[rank][name][number], mine, rtol=1e-9, atol=1e-9, msg=f"{name} {number} {rank}")


def in_bfloat16():
    """A channel far from 0, normalised by both processes; how far result, gradient and statistics are from exact."""
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


def test_statistics_of_bfloat16_are_not_rounded_to_it(tmp_path):
    for errors in run_in_processes(in_bfloat16, 2, tmp_path):
        assert errors[0] < 0.003
        assert errors[1] < 0.003
        assert errors[2] < 1e-5
