"""Pseudo-labels of a teacher over two modalities, and the losses of a student on them.

Branches are "image" and "points". Letters: B shapes, Y classes.
Source: CrossMoST (arXiv:2404.10146) and MUST (Li et al. 2022, arXiv:2206.02967), and their code.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.distributed import gather_rows, get_world_size

BRANCHES = ("image", "points")
LABELS = ("joint", "separate", "image", "points", "image_to_points", "points_to_images", "agreement")
LEAST_AGREED = 0.2  # score that both branches must exceed where labels must agree; of the published code


class Thresholds(NamedTuple):
    """Scores that a label must exceed, in [0, 1]: of both branches together, and of each on its own.

    `omega` multiplies the scores of points before they are compared with those of images. Published for ModelNet40.
    """

    omega: float = 0.9
    joint: float = 0.84
    image: float = 0.80
    points: float = 0.82


PUBLISHED_THRESHOLDS = Thresholds()


class PseudoLabels(NamedTuple):
    """label (B,) int64 in [0, Y), and whether it is trusted, is_sure (B,) bool."""

    label: Tensor
    is_sure: Tensor


def trained_branches(labels: str) -> tuple[str, ...]:
    """Return the branches that learn with one of LABELS: both, or the only one there is."""
    return (labels,) if labels in BRANCHES else BRANCHES


def shares_labels(labels: str) -> bool:
    """Return whether both branches learn the same label of a shape."""
    return labels != "separate" and labels not in BRANCHES


def pseudo_labels(
    probs: Mapping[str, Tensor], labels: str = "joint", thresholds: Thresholds = PUBLISHED_THRESHOLDS
) -> dict[str, PseudoLabels]:
    """Choose what each branch learns of each shape.

    "joint" takes the label of the more confident branch, after omega, for both; equal scores take that of the image.
    "separate" gives each branch its own label by its own threshold, "image" and "points" know one branch only. The
    transfers give both branches the label of the first named; "agreement" takes a label on which both agree.

    Args:
        probs: branch -> (B, Y), rows that sum to 1; of the branches that `labels` uses.
        labels: one of LABELS.
    Raises:
        ValueError: another word.
    """
    if labels not in LABELS:
        raise ValueError(f"--labels must be one of {', '.join(LABELS)}, got {labels!r}")
    best = {branch: rows.max(dim=1) for branch, rows in probs.items()}
    own = {key: PseudoLabels(top.indices, top.values > getattr(thresholds, key)) for key, top in best.items()}
    if not shares_labels(labels):
        return {branch: own[branch] for branch in trained_branches(labels)}
    if labels == "image_to_points":
        shared = own["image"]
    elif labels == "points_to_images":
        shared = own["points"]
    else:
        (image, image_label), (points, points_label) = (best[branch] for branch in BRANCHES)
        if labels == "agreement":
            is_sure = (image_label == points_label) & (torch.minimum(image, points) > LEAST_AGREED)
            shared = PseudoLabels(image_label, is_sure)
        else:
            points = thresholds.omega * points
            # `where`, not a sum of masked labels as published: with equal scores that adds both labels.
            label = torch.where(points > image, points_label, image_label)
            shared = PseudoLabels(label, torch.maximum(image, points) > thresholds.joint)
    return dict.fromkeys(BRANCHES, shared)


def count_sure(is_sure: Tensor) -> Tensor:
    """Count trusted labels over all ranks. Shape: (B,) bool, the same B on every rank -> scalar float64."""
    return gather_rows(is_sure.double()).sum()


def sure_cross_entropy(logits: Tensor, labels: PseudoLabels) -> Tensor:
    """Compute the mean cross-entropy over the trusted labels of all ranks; 0, with gradient 0, where there are none.

    The mean over ranks is that of one process with all rows.

    Args:
        logits: (B, Y).
    Returns:
        Scalar, in nats.
    """
    count = count_sure(labels.is_sure).clamp_min(1).to(logits.dtype) / get_world_size()
    each = F.cross_entropy(logits, labels.label, reduction="none")
    return torch.where(labels.is_sure, each, 0).sum() / count


def fairness(logits: Tensor) -> Tensor:
    """Compute the mean over classes of -log of their mean probability over the batch of all ranks, with gradient.

    It is least, log Y, where the batch is spread evenly over the classes; one that nothing is assigned to costs much.

    Args:
        logits: (B, Y), the same B on every rank.
    Returns:
        Scalar, in nats, the same on every rank.
    """
    log_probs = gather_rows(F.log_softmax(logits, dim=1))
    log_means = log_probs.logsumexp(dim=0) - torch.tensor(len(log_probs)).log().to(log_probs)
    return -log_means.mean()


def published_alignment(points: Tensor, images: Tensor) -> Tensor:
    """Compute CrossMoST's literal contrast of both modalities: of this rank's rows alone, without temperature.

    On cosines it is nearly flat: with 128 shapes it cannot fall below 2.9 nats a direction of at most 4.9.

    Shape: (B, D), (B, D), rows of unit length -> scalar, the sum of both directions.
    """
    own, similarity = torch.arange(len(points), device=points.device), points @ images.T
    return F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)
