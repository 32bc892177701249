"""A step of a method on the CPU, and what it leaves behind, to compare several processes with one."""

import torch
from torch.optim.lr_scheduler import ConstantLR

from utils.training.engine import Precision, Stepper

CPU = torch.device("cpu")


def make_stepper(method, micro_batch=0, lr=0.1, optimizer=torch.optim.SGD):
    optimizer = optimizer(method.parameters(), lr=lr)
    schedule = ConstantLR(optimizer, factor=1)
    precision = Precision.from_name("none", CPU)
    return Stepper(method, optimizer, schedule, device=CPU, precision=precision, micro_batch=micro_batch)


def after_step(method, terms):
    """Return loss terms, gradients and running statistics of a method that has taken a step."""
    return {**terms, **{name: p.grad for name, p in method.named_parameters()}, **dict(method.named_buffers())}


def check_equal(found, expected, least=None):
    """Compare figures in float64; a gradient that one has not, the other has not.

    Those of a norm below `least` may differ by 1e-9 of it; None: of a thousandth of the largest of a weight.
    """
    assert found.keys() == expected.keys()
    if least is None:
        least = 1e-3 * max(value.norm().item() for name, value in expected.items() if name.endswith("weight"))
    for name, value in expected.items():
        assert (value is None) == (found[name] is None), name
        if value is not None:
            value, mine = torch.as_tensor(value).double(), torch.as_tensor(found[name]).double()
            assert (mine - value).norm() <= 1e-9 * max(value.norm().item(), least), name
