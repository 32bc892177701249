"""One, two and four processes compute the same training from the same global batch."""

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ConstantLR
from torch.testing import assert_close

from models.dgcnn import DGCNN
from models.image_resnet import ImageResNet
from models.methods.crosspoint import CrossPoint
from models.sync import num_processes, process_rank
from tests.several_processes import run_in_processes
from utils.engine import Precision, Stepper

B, N, S = 8, 24, 32
CPU = torch.device("cpu")


def make_method(dtype):
    torch.manual_seed(0)
    method = CrossPoint(DGCNN(k=5, emb_dims=32), ImageResNet(18)).to(dtype)
    for module in method.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.weight)
    return method


def make_batch(step, dtype):
    """A global batch; the later clouds lie apart from the first, so that statistics of one process differ from all."""
    generator = torch.Generator().manual_seed(step)
    away = torch.arange(B).view(B, 1, 1) / 2
    clouds = {name: torch.randn(B, N, 3, generator=generator) + away for name in ("aug_a", "aug_b")}
    images = torch.randn(B, 3, S, S, generator=generator) * (1 + away[..., None])
    return {name: rows.to(dtype) for name, rows in (clouds | {"image": images}).items()} | {"index": torch.arange(B)}


def own(batch):
    """This process's part."""
    share = B // num_processes()
    return {name: rows[process_rank() * share :][:share] for name, rows in batch.items()}


def make_stepper(method, micro_batch=0, lr=0.1, optimizer=torch.optim.SGD):
    optimizer = optimizer(method.parameters(), lr=lr)
    schedule = ConstantLR(optimizer, factor=1)
    precision = Precision.from_name("none", CPU)
    return Stepper(method, optimizer, schedule, device=CPU, precision=precision, micro_batch=micro_batch)


def one_step(micro_batch, order=None):
    """Loss terms, gradients and running statistics of a step in float64."""
    method = make_method(torch.float64)
    stepper = make_stepper(method.train(), micro_batch)
    batch = make_batch(0, torch.float64)
    if order is not None:
        batch = {name: rows[order] for name, rows in batch.items()}
    terms = stepper.step(own(batch), 0).terms
    return {**terms, **{name: p.grad for name, p in method.named_parameters()}, **dict(method.named_buffers())}


def check_equal(found, expected):
    assert found.keys() == expected.keys()
    largest = max(value.norm().item() for name, value in expected.items() if name.endswith("weight"))
    for name, value in expected.items():
        value, mine = torch.as_tensor(value).double(), torch.as_tensor(found[name]).double()
        assert (mine - value).norm() <= 1e-9 * max(value.norm().item(), 1e-3 * largest), name


@pytest.mark.parametrize("world_size", [2, 4])
def test_losses_gradients_and_statistics_are_those_of_one_process(tmp_path, world_size):
    expected = one_step(0)
    for found in run_in_processes(one_step, world_size, tmp_path, 0):
        check_equal(found, expected)


def test_micro_batches_are_those_of_one_process_with_as_many_times_larger_ones(tmp_path):
    order = [0, 1, 4, 5, 2, 3, 6, 7]  # BatchNorm sees the first micro-batches of both processes, then the second ones
    expected = one_step(4, order)
    for found in run_in_processes(one_step, 2, tmp_path, 2):
        check_equal(found, expected)


def twenty_steps(name):
    """Losses of 20 steps in float32, and the weights after them."""
    method = make_method(torch.float32).train()
    stepper = make_stepper(method, lr=0.01 if name == "SGD" else 1e-3, optimizer=getattr(torch.optim, name))
    losses = [sum(stepper.step(own(make_batch(step, torch.float32)), step).terms.values()) for step in range(20)]
    return losses, method.state_dict()


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_training_in_float32_stays_with_that_of_one_process(tmp_path, name):
    losses, weights = twenty_steps(name)
    for found_losses, found in run_in_processes(twenty_steps, 2, tmp_path, name):
        print(max(abs(a - b) for a, b in zip(losses, found_losses)))
        w = torch.cat([v.flatten().double() for v in weights.values()])
        f = torch.cat([v.flatten().double() for v in found.values()])
        print(((w - f).norm() / w.norm()))
        assert_close(found_losses, losses, rtol=1e-6, atol=0)
