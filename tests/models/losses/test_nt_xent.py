"""NT-Xent against a loop written from the paper."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from models.losses.nt_xent import nt_xent


def loop_nt_xent(a, b, temperature):
    """SimCLR eq. 1, one anchor at a time."""
    rows = [row / row.norm() for row in [*a, *b]]
    total = 0.0
    for i, anchor in enumerate(rows):
        partner = (i + len(a)) % len(rows)
        terms = [torch.exp(anchor @ other / temperature) for j, other in enumerate(rows) if j != i]
        total -= torch.log(torch.exp(anchor @ rows[partner] / temperature) / sum(terms))
    return total / len(rows)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_equals_a_loop_over_anchors(temperature):
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, 7, dtype=torch.float64)
    assert_close(nt_xent(a, b, temperature), loop_nt_xent(a, b, temperature))


def test_autocast_does_not_lower_its_precision():
    a, b = torch.randn(2, 5, 7)
    with torch.autocast("cpu", torch.bfloat16):
        inside = nt_xent(a, b)
    assert_close(inside, nt_xent(a, b), rtol=0, atol=0)


@pytest.mark.parametrize(("rows", "temperature", "message"), [(5, 0.0, "temperature"), (1, 0.1, "at least 2")])
def test_refuses_arguments_without_a_meaning(rows, temperature, message):
    with pytest.raises(ValueError, match=message):
        nt_xent(torch.randn(rows, 3), torch.randn(rows, 3), temperature)


def test_equals_the_published_losses_and_gradients(shared):
    golden = np.load(shared / "golden" / "losses.npz")
    z1, z2, h = (torch.tensor(golden[name], requires_grad=True) for name in ("z1", "z2", "h"))
    temperature = float(golden["temperature"])
    imid, cmid = nt_xent(z1, z2, temperature), nt_xent((z1 + z2) / 2, h, temperature)
    (imid + cmid).backward()
    assert_close(imid.item(), float(golden["imid"]), rtol=0, atol=1e-5)
    assert_close(cmid.item(), float(golden["cmid"]), rtol=0, atol=1e-5)
    for tensor, name in ((z1, "grad_z1"), (z2, "grad_z2"), (h, "grad_h")):
        assert_close(tensor.grad, torch.tensor(golden[name]), rtol=0, atol=1e-5)
