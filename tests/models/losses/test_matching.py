"""The contrast of two modalities, by its definition, on one process and on two."""

import math

import pytest
import torch
import torch.nn.functional as F

from models.losses.matching import matching_loss
from tests.support.several_processes import run_in_processes

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


def gradients_of(rank=0, world=1):
    """Loss and gradients of this rank's share of 6 rows; all that leads to them is shared."""
    start = [rows[rank * 6 // world : (rank + 1) * 6 // world].requires_grad_() for rows in make_rows(6)]
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    loss = matching_loss(*start, scale, torch.tensor([0, 1, 2, 0, 3, 1])[rank * 6 // world : (rank + 1) * 6 // world])
    loss.backward()
    return loss.detach(), *(rows.grad for rows in start), scale.grad


def gradients_of_a_rank():
    rank = torch.distributed.get_rank()
    return gradients_of(rank, 2)


def test_two_processes_compute_what_one_does(tmp_path):
    loss, of_a, of_b, of_scale = gradients_of()
    ranks = run_in_processes(gradients_of_a_rank, 2, tmp_path)
    exact = {"rtol": 0, "atol": 1e-9}
    torch.testing.assert_close(sum(rank[0] for rank in ranks) / 2, loss, **exact)
    # As DistributedDataParallel averages: half of what each process adds up for its rows.
    torch.testing.assert_close(torch.cat([rank[1] for rank in ranks]) / 2, of_a, **exact)
    torch.testing.assert_close(torch.cat([rank[2] for rank in ranks]) / 2, of_b, **exact)
    torch.testing.assert_close(sum(rank[3] for rank in ranks) / 2, of_scale, **exact)
