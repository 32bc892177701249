"""The contrast of two modalities, by its definition; on several processes see tests/programs/test_same_on_many.py."""

import math

import pytest
import torch
import torch.nn.functional as F

from models.losses.matching import matching_loss

B, D = 5, 7


def by_definition(a, b, scale, kind=None):
    """Both cross-entropies, pair by pair."""
    total = 0.0
    for x, y in ((a, b), (b, a)):
        for i in range(len(x)):
            others = [j for j in range(len(y)) if j == i or kind is None or kind[i] != kind[j]]
            similarity = torch.stack([scale * (x[i] @ y[j]) for j in others])
            total = total - (scale * (x[i] @ y[i]) - similarity.logsumexp(dim=0)) / (2 * len(x))
    return total


def make_rows(count=B, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [F.normalize(torch.randn(count, D, generator=generator, dtype=dtype), dim=1) for _ in range(2)]


@pytest.mark.parametrize("kind", [None, torch.tensor([0, 1, 0, 2, 1])])
def test_the_loss_follows_its_definition(kind):
    (a, b), scale = make_rows(), torch.tensor(9.0)
    torch.testing.assert_close(matching_loss(a, b, scale, kind), by_definition(a, b, scale, kind))


def test_equal_rows_give_the_logarithm_of_their_number_and_one_kind_has_no_negatives():
    rows = torch.ones(B, D) / D**0.5
    torch.testing.assert_close(matching_loss(rows, rows, torch.tensor(3.0)), torch.tensor(math.log(B)))
    assert matching_loss(rows, rows, torch.tensor(3.0), torch.zeros(B)) == 0


def test_wrong_shapes_and_a_single_pair_are_refused():
    with pytest.raises(ValueError, match="expected two"):
        matching_loss(torch.ones(2, 3), torch.ones(2, 4), torch.tensor(1.0))
    with pytest.raises(ValueError, match="raise --batch_size"):
        matching_loss(torch.ones(1, 3), torch.ones(1, 3), torch.tensor(1.0))
