"""PointInfoNCE: equal to its definition, blind to rows without partner, and the same on one rank and two."""

import math
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F

from models.losses import point_info_nce as module
from models.losses.point_info_nce import point_info_nce

IS_MATCH = torch.tensor([True, True, False, True, True, True, False, False])


def rows(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(8, 5, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2)]


def by_definition(queries, keys, matches, temperature):
    total = 0
    for i in matches:
        similar = [torch.dot(queries[i], keys[j]) / (queries[i].norm() * keys[j].norm()) for j in matches]
        exps = [torch.exp(s / temperature) for s in similar]
        total = total - torch.log(exps[matches.index(i)] / sum(exps))
    return total / len(matches)


def test_it_equals_its_definition_over_the_matches_alone():
    queries, keys = rows()
    expected = by_definition(queries, keys, [0, 1, 3, 4, 5], 0.07)
    torch.testing.assert_close(point_info_nce(queries, keys, IS_MATCH), expected, rtol=1e-12, atol=0)
    alike = torch.ones(8, 5)
    assert point_info_nce(alike, alike, IS_MATCH).item() == pytest.approx(math.log(5))


def test_the_mean_over_two_ranks_is_the_loss_of_one():
    queries, keys = rows()
    whole = point_info_nce(queries, keys, IS_MATCH)
    expected = torch.autograd.grad(whole, [queries, keys])
    parts = []
    for rank in (0, 1):
        own = slice(4 * rank, 4 * rank + 4)
        gathered = iter([IS_MATCH.double(), F.normalize(keys, dim=1)])
        ranks = {"get_world_size": lambda: 2, "get_rank": lambda rank=rank: rank}
        with patch.multiple(module, gather_rows=lambda own, all_rows=gathered: next(all_rows), **ranks):
            parts.append(point_info_nce(queries[own], keys[own], IS_MATCH[own]))
    mean = sum(parts) / 2
    torch.testing.assert_close(mean, whole, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(mean, [queries, keys]), expected, rtol=1e-10, atol=1e-12)


def test_what_has_no_negatives_or_no_temperature_is_refused():
    queries, keys = rows()
    with pytest.raises(ValueError, match="at least 2 matches, got 1"):
        point_info_nce(queries, keys, torch.arange(8) == 3)
    with pytest.raises(ValueError, match="--temperature must be > 0"):
        point_info_nce(queries, keys, IS_MATCH, 0.0)
    with pytest.raises(ValueError, match=r"expected two \(P, D\)"):
        point_info_nce(queries, keys[:4], IS_MATCH)
