"""The losses of VoteNet.

Source: Qi et al. 2019, arXiv:1904.09664, and loss_helper.py of facebookresearch/votenet for constants and weights.
Letters: B scenes, N points, S seeds, F votes of a seed, P proposals, K boxes of a scene, padding included, Y classes.

Means are over the boxes, proposals or seeds of all ranks, so that several processes equal one.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.detection.box_code import BoxCode
from models.detection.proposals import ProposedBoxes
from models.detection.vote_network import Proposals
from models.distributed import gather_rows, get_world_size
from models.layers.grouping import gather

NEAR, FAR = 0.3, 0.6  # metres: a proposal is an object within the first, and none beyond the second
OBJECT_WEIGHTS = (0.2, 0.8)  # of "no" and "yes"
WEIGHTS = {  # all terms are multiplied by 10, as published
    "vote": 10.0,
    "objectness": 5.0,
    "centre": 10.0,
    "heading_bin": 1.0,
    "heading_rest": 10.0,
    "size_bin": 1.0,
    "size_rest": 10.0,
    "class": 1.0,
}


class SceneTargets(NamedTuple):
    """What is to be found in a batch of scenes.

    centre (B, K, 3), size (B, K, 3), heading (B, K), label (B, K) int64 in [0, Y), and is_box (B, K) bool, False for
    padding, K >= 1; offset (B, N, 3, 3), from each point to the three centres it may vote for, is_voting (B, N) bool.
    """

    centre: Tensor
    size: Tensor
    heading: Tensor
    label: Tensor
    is_box: Tensor
    offset: Tensor
    is_voting: Tensor


def votenet_terms(found: Proposals, truth: SceneTargets, code: BoxCode) -> dict[str, Tensor]:
    """Compute the weighted terms, whose sum is the published loss.

    Of a proposal near a box, the box nearest to its cluster decides what it learns. Padding takes part in nothing; in
    the published code it is a box of size 0 at the origin.

    Returns:
        {"loss/vote": scalar, ...}, one for each of WEIGHTS.
    """
    squares = _squares(found.boxes.cluster.detach(), truth)  # (B, P, K)
    nearest, chosen = squares.min(dim=2)
    distance = (nearest + 1e-6).sqrt()
    is_object = distance < NEAR
    terms = {
        "vote": vote_loss(found, truth),
        "objectness": objectness_loss(found.boxes.objectness, is_object, is_object | (distance > FAR)),
        "centre": centre_loss(found.boxes.centre, truth, is_object),
        **box_losses(found.boxes, _take(truth, chosen), is_object, code),
    }
    return {f"loss/{name}": WEIGHTS[name] * value for name, value in terms.items()}


def vote_loss(found: Proposals, truth: SceneTargets) -> Tensor:
    """Compute the least L1 distance between a vote of a seed and a centre it may vote for, mean over seeds on objects.

    A seed is to vote for its point's centres, and may do so with any of its votes.
    """
    position, _, index = found.seeds
    goals = position[:, :, None] + gather(truth.offset.flatten(2), index).unflatten(-1, (-1, 3))  # (B, S, 3, 3)
    votes = found.votes.unflatten(1, (position.shape[1], -1))  # (B, S, F, 3)
    distance = (votes[:, :, :, None] - goals[:, :, None]).abs().sum(dim=-1).flatten(2)
    return _mean(distance.min(dim=2).values, truth.is_voting.gather(1, index))


def objectness_loss(logits: Tensor, is_object: Tensor, is_clear: Tensor) -> Tensor:
    """Compute the weighted cross-entropy, mean over the proposals that are clear. Shape: (B, P, 2), two (B, P) bool."""
    weight = logits.new_tensor(OBJECT_WEIGHTS)
    return _mean(F.cross_entropy(logits.transpose(1, 2), is_object.long(), weight, reduction="none"), is_clear)


def centre_loss(centre: Tensor, truth: SceneTargets, is_object: Tensor) -> Tensor:
    """Compute squared distances: of objects to the nearest box, and of boxes to the nearest proposal. (B, P, 3)."""
    squares = _squares(centre, truth)
    return _mean(squares.min(dim=2).values, is_object) + _mean(squares.min(dim=1).values, truth.is_box)


def box_losses(boxes: ProposedBoxes, own: SceneTargets, is_object: Tensor, code: BoxCode) -> dict[str, Tensor]:
    """Compute the terms of heading, size and class, means over the proposals that are objects.

    Args:
        own: the box (B, P, ...) of each proposal.
        is_object: (B, P) bool.
    """
    coded = code.encode(own.size, own.heading, own.label)
    heading_rest = boxes.heading_rest.gather(2, coded.heading_bin[..., None])[..., 0]
    size_rest = boxes.size_rest.gather(2, own.label[..., None, None].expand(-1, -1, 1, 3))[:, :, 0]
    each = {
        "heading_bin": _cross_entropy(boxes.heading_scores, coded.heading_bin),
        "heading_rest": F.huber_loss(heading_rest, coded.heading_rest, reduction="none"),
        "size_bin": _cross_entropy(boxes.size_scores, own.label),
        "size_rest": F.huber_loss(size_rest, coded.size_rest, reduction="none").mean(dim=-1),
        "class": _cross_entropy(boxes.class_scores, own.label),
    }
    return {name: _mean(value, is_object) for name, value in each.items()}


def _squares(points: Tensor, truth: SceneTargets) -> Tensor:
    """Return squared distances to the centres of boxes, infinite to padding. Shape: (B, P, 3) -> (B, P, K)."""
    squares = (points[:, :, None] - truth.centre[:, None]).square().sum(dim=-1)
    return squares.masked_fill(~truth.is_box[:, None], torch.inf)


def _take(truth: SceneTargets, chosen: Tensor) -> SceneTargets:
    """Return the box of each proposal; votes stay. Shape: (B, P) int64."""
    vectors = {name: gather(getattr(truth, name), chosen) for name in ("centre", "size")}
    numbers = {name: getattr(truth, name).gather(1, chosen) for name in ("heading", "label", "is_box")}
    return truth._replace(**vectors, **numbers)


def _cross_entropy(scores: Tensor, label: Tensor) -> Tensor:
    return F.cross_entropy(scores.transpose(1, 2), label, reduction="none")


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the values that a mask of the same shape keeps, over all ranks; 0 where there are none."""
    count = gather_rows(mask.sum(dtype=values.dtype)[None]).sum() + 1e-6  # as published
    return torch.where(mask, values, 0).sum() / (count / get_world_size())
