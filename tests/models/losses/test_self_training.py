"""Pseudo-labels and the losses on them: by hand, and over two processes."""

import math

import pytest
import torch
import torch.nn.functional as F

from models.losses.self_training import (
    PUBLISHED_THRESHOLDS,
    PseudoLabels,
    Thresholds,
    fairness,
    pseudo_labels,
    published_alignment,
    sure_cross_entropy,
)
from tests.support.several_processes import run_in_processes


def rows(*scores, label):
    """Probabilities of three classes, with each score at its label."""
    made = torch.empty(len(scores), 3)
    for row, score, at in zip(made, scores, label):
        row.fill_((1 - score) / 2)[at] = score
    return made


PROBS = {
    "image": rows(0.9, 0.85, 0.5, 0.83, label=[0, 0, 1, 2]),
    "points": rows(0.95, 0.95, 0.6, 0.4, label=[1, 1, 1, 2]),
}


def test_the_joint_label_is_that_of_the_more_confident_branch_after_omega():
    found = pseudo_labels(PROBS)  # 0.9 * 0.95 = 0.855
    assert found["image"] is found["points"]
    assert found["image"].label.tolist() == [0, 1, 1, 2]
    assert found["image"].is_sure.tolist() == [True, True, False, False]
    assert pseudo_labels(PROBS, "joint", PUBLISHED_THRESHOLDS._replace(omega=1.0))["image"].label.tolist() == [
        1,
        1,
        1,
        2,
    ]


def test_equal_scores_take_the_label_of_the_image_and_never_a_sum_of_both():
    saturated = {
        "image": F.one_hot(torch.tensor([2, 1]), 3).float(),
        "points": F.one_hot(torch.tensor([1, 2]), 3).float(),
    }
    found = pseudo_labels(saturated, "joint", Thresholds(omega=1.0))["points"]
    assert found.label.tolist() == [2, 1]
    assert found.is_sure.all()


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("separate", {"image": ([0, 0, 1, 2], [1, 1, 0, 1]), "points": ([1, 1, 1, 2], [1, 1, 0, 0])}),
        ("image", {"image": ([0, 0, 1, 2], [1, 1, 0, 1])}),
        ("points", {"points": ([1, 1, 1, 2], [1, 1, 0, 0])}),
        ("image_to_points", dict.fromkeys(("image", "points"), ([0, 0, 1, 2], [1, 1, 0, 1]))),
        ("points_to_images", dict.fromkeys(("image", "points"), ([1, 1, 1, 2], [1, 1, 0, 0]))),
        ("agreement", dict.fromkeys(("image", "points"), ([0, 0, 1, 2], [0, 0, 1, 1]))),
    ],
)
def test_baselines_take_their_own_labels(mode, expected):
    found = pseudo_labels(PROBS, mode)
    assert {branch: (own.label.tolist(), own.is_sure.int().tolist()) for branch, own in found.items()} == expected
    with pytest.raises(ValueError, match="--labels must be one of joint"):
        pseudo_labels(PROBS, "both")


def test_agreement_wants_both_scores_above_a_fifth():
    low = {"image": torch.full((1, 6), 1 / 6), "points": torch.eye(6)[:1]}
    assert not pseudo_labels(low, "agreement")["image"].is_sure


def test_only_trusted_labels_are_learned_and_none_gives_zero_and_no_gradient():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    label, is_sure = torch.tensor([0, 1, 2, 0]), torch.tensor([True, False, True, False])
    loss = sure_cross_entropy(logits, PseudoLabels(label, is_sure))
    torch.testing.assert_close(loss, F.cross_entropy(logits[is_sure], label[is_sure]))
    empty = sure_cross_entropy(logits, PseudoLabels(label, torch.zeros(4, dtype=torch.bool)))
    empty.backward()
    assert (empty.item(), logits.grad.abs().max().item()) == (0, 0)


def test_fairness_is_least_for_an_even_batch_and_stays_finite():
    even = torch.eye(3) * 100
    torch.testing.assert_close(fairness(even), torch.tensor(math.log(3)))
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fairness(logits), -logits.softmax(dim=1).mean(dim=0).log().mean())
    assert fairness(even[:1].expand(4, 3) * 10).isfinite()


def test_the_published_alignment_is_two_cross_entropies_of_cosines():
    a, b = (F.normalize(torch.randn(4, 6, generator=torch.Generator().manual_seed(s)), dim=1) for s in (0, 1))
    expected = sum(-(x @ y.T).softmax(dim=1).diag().log().mean() for x, y in ((a, b), (b, a)))
    torch.testing.assert_close(published_alignment(a, b), expected)


def gradients(rank=0, world=1):
    """Both losses and their gradients for this rank's share of 6 rows, 3 trusted; the shares differ."""
    part = slice(rank * 6 // world, (rank + 1) * 6 // world)
    logits = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))[part].requires_grad_()
    is_sure = torch.tensor([True, True, False, False, True, False])[part]
    losses = [fairness(logits), sure_cross_entropy(logits, PseudoLabels(torch.arange(6)[part] % 4, is_sure))]
    return [(loss.detach(), *torch.autograd.grad(loss, logits)) for loss in losses]


def gradients_of_a_rank():
    return gradients(torch.distributed.get_rank(), 2)


def test_two_processes_compute_what_one_does(tmp_path):
    ranks = run_in_processes(gradients_of_a_rank, 2, tmp_path)
    for one, *parts in zip(gradients(), *ranks):
        torch.testing.assert_close(sum(loss for loss, _ in parts) / 2, one[0], rtol=0, atol=1e-9)
        # As DistributedDataParallel averages: half of what each process adds up for its rows.
        torch.testing.assert_close(torch.cat([grad for _, grad in parts]) / 2, one[1], rtol=0, atol=1e-9)
