"""One, two and four processes compute the same training from the same global batch."""

from functools import partial

import pytest
import torch
from lightly.loss import NTXentLoss
from torch import nn
from torch.optim.lr_scheduler import ConstantLR
from torch.testing import assert_close

from models.distributed import get_rank, get_world_size
from models.encoders.dgcnn import DGCNN
from models.encoders.image_resnet import ImageResNet
from models.losses.nt_xent import nt_xent
from models.methods.crosspoint import CrossPoint
from tests.support.several_processes import run_in_processes
from utils.training.engine import Precision, Stepper

B, N, S = 8, 24, 32
CPU = torch.device("cpu")


class SmallImageNet(nn.Sequential):
    """In place of a ResNet's eleven million weights."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.feature_dim = 32


def make_method(dtype, image_encoder):
    torch.manual_seed(0)
    method = CrossPoint(DGCNN(k=5, emb_dims=32), image_encoder()).to(dtype)
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
    share = B // get_world_size()
    return {name: rows[get_rank() * share :][:share] for name, rows in batch.items()}


def make_stepper(method, micro_batch=0, lr=0.1, optimizer=torch.optim.SGD):
    optimizer = optimizer(method.parameters(), lr=lr)
    schedule = ConstantLR(optimizer, factor=1)
    precision = Precision.from_name("none", CPU)
    return Stepper(method, optimizer, schedule, device=CPU, precision=precision, micro_batch=micro_batch)


def one_step(micro_batch, order=None):
    """Loss terms, gradients and running statistics of a step in float64."""
    method = make_method(torch.float64, partial(ImageResNet, 18))
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


def twenty_steps(dtype, lr):
    """Losses of 20 steps of Adam, and the weights after them."""
    method = make_method(dtype, SmallImageNet).train()
    stepper = make_stepper(method, lr=lr, optimizer=torch.optim.Adam)
    losses = [sum(stepper.step(own(make_batch(step, dtype)), step).terms.values()) for step in range(20)]
    return torch.tensor(losses), torch.cat([p.detach().flatten() for p in method.parameters()])


@pytest.mark.parametrize("world_size", [2, 4])
def test_a_training_is_that_of_one_process(tmp_path, world_size):
    losses, weights = twenty_steps(torch.float64, 1e-3)
    for found_losses, found in run_in_processes(twenty_steps, world_size, tmp_path, torch.float64, 1e-3):
        assert_close(found_losses, losses, rtol=1e-9, atol=0)
        assert (found - weights).norm() <= 1e-9 * weights.norm()


def test_a_training_in_float32_differs_by_rounding_only(tmp_path):
    """Larger rates amplify rounding, as they do between one and two threads of one process."""
    losses, weights = twenty_steps(torch.float32, 1e-5)
    assert losses[-1] < losses[0] - 1
    for found_losses, found in run_in_processes(twenty_steps, 2, tmp_path, torch.float32, 1e-5):
        assert_close(found_losses, losses, rtol=1e-6, atol=0)
        assert (found - weights).norm() <= 1e-4 * weights.norm()


def distances(rows, others):
    """NT-Xent by ours and by lightly with gather_distributed, each with the gradients of its two arguments."""
    found = []
    for loss in (nt_xent, NTXentLoss(temperature=0.1, gather_distributed=True)):
        a, b = rows[own_rows()].clone().requires_grad_(), others[own_rows()].clone().requires_grad_()
        value = loss(a, b)
        value.backward()
        found.append([value.detach(), a.grad, b.grad])
    return found


def own_rows():
    share = B // get_world_size()
    return slice(get_rank() * share, (get_rank() + 1) * share)


@pytest.mark.parametrize("world_size", [2, 4])
def test_the_contrastive_loss_is_that_of_lightly_and_of_one_process(tmp_path, world_size):
    a, b = torch.randn(2, B, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    whole = nt_xent(a, b)
    gradients = torch.autograd.grad(whole, (a, b))
    parts = run_in_processes(distances, world_size, tmp_path, a.detach(), b.detach())
    for ours, theirs in parts:
        assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    assert_close(torch.stack([ours[0] for ours, _ in parts]).mean(), whole)
    for number, gradient in enumerate(gradients, 1):  # of the sum over processes, as DistributedDataParallel averages
        assert_close(torch.cat([ours[number] for ours, _ in parts]) / world_size, gradient, rtol=1e-12, atol=1e-14)
