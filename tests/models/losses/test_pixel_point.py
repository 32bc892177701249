"""Contrast of the points of an object with its pixels."""

import math

import pytest
import torch

from models.losses import pixel_point
from models.losses.pixel_point import pixel_point_losses


def brute_force(points, pixels, temperature, same_point=None):
    """Compute the loss of each object by its definition, one row after the other."""
    losses = []
    for number in range(len(points)):
        rows = torch.cat([points[number], pixels[number]])
        rows = rows / rows.norm(dim=1, keepdim=True)
        pairs = len(rows) // 2
        total = 0.0
        for i in range(len(rows)):
            partner = (i + pairs) % len(rows)
            terms = []
            for j in range(len(rows)):
                same = same_point is not None and same_point[number, i % pairs] == same_point[number, j % pairs]
                if j != i and (j == partner or not same):
                    terms.append(torch.exp(rows[i] @ rows[j] / temperature))
            total = total - torch.log(torch.exp(rows[i] @ rows[partner] / temperature) / sum(terms))
        losses.append(total / len(rows))
    return torch.stack(losses)


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 5, 4, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2)]


@pytest.mark.parametrize("same_point", [None, torch.tensor([[0, 1, 0, 2, 0], [4, 4, 4, 4, 4], [0, 1, 2, 3, 4]])])
@pytest.mark.parametrize("chunk", [1, 2**20])
def test_equals_a_loop_over_all_rows(features, same_point, chunk, monkeypatch):
    monkeypatch.setattr(pixel_point, "CHUNK", chunk)
    found, expected = pixel_point_losses(*features, 0.3, same_point), brute_force(*features, 0.3, same_point)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    gradients = [torch.autograd.grad((losses * weights).sum(), features) for losses in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-13)


def test_coinciding_rows_give_the_logarithm_of_their_number():
    rows = torch.ones(2, 6, 3)
    torch.testing.assert_close(pixel_point_losses(rows, rows), torch.full((2,), math.log(11)))


def test_is_computed_in_float32_under_autocast(features):
    points, pixels = (rows.detach().float() for rows in features)
    with torch.autocast("cpu", torch.bfloat16):
        found = pixel_point_losses(points, pixels)
    torch.testing.assert_close(found, pixel_point_losses(points, pixels), rtol=0, atol=0)


def test_low_temperatures_do_not_underflow(features):
    rows = [rows.detach().float() for rows in features]
    found = pixel_point_losses(*rows, 0.004)
    torch.testing.assert_close(found, brute_force(*(r.double() for r in rows), 0.004), rtol=1e-6, atol=0)


def test_refuses_what_cannot_be_contrasted(features):
    with pytest.raises(ValueError, match="at least 2 pairs"):
        pixel_point_losses(*(rows[:, :1] for rows in features))
    with pytest.raises(ValueError, match="of one shape"):
        pixel_point_losses(features[0], features[1][:, :3])
    with pytest.raises(ValueError, match="--temperature"):
        pixel_point_losses(*features, 0.0)
