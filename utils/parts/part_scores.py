"""Scores of part segmentation: instance and class mIoU, from the argmax over all parts or over the category's own."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from datasets.labels import PartCategory
from datasets.parts.part_table import PartTable, count_parts
from datasets.parts.shapenet_part import ShapeNetPart
from utils.evaluation.features import check_finite, eval_mode
from utils.evaluation.metrics import category_ious, class_miou, instance_miou, overall_accuracy, shape_ious
from utils.run.log import is_terminal

# all_parts is the published protocol. category_parts uses the category, which is an input of the network anyway.
PROTOCOLS = ("all_parts", "category_parts")
VOTE_SCALES = (0.8, 1.25)  # of each axis of a further copy


class PartScore(NamedTuple):
    """Figures of one protocol in [0, 1]; `by_category` has the mean IoU of each category that occurs."""

    protocol: str
    miou_instance: float
    miou_class: float
    accuracy: float
    by_category: dict[str, float]


def predict_parts(
    network: nn.Module,
    clouds: ShapeNetPart,
    *,
    batch_size: int,
    device: torch.device,
    progress: str = "",
    votes: int = 0,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Predict the part of every point by each of PROTOCOLS, (M, N) int64: among all parts, and the category's own.

    Args:
        network: on `device`; points (B, N, 3), category (B,) -> logits (B, N, P). Its modes are restored.
        clouds: the split; P parts in its table.
        batch_size: clouds per forward pass.
        progress: name of a progress bar, shown on terminals; "" for none.
        votes: 0 or 1 takes each cloud as it is; N averages the logits of N copies. The first is the cloud as it is, the
            others are scaled along each axis by factors from VOTE_SCALES, as in the literature, not in CrossPoint.
        seed: of the factors.
    Raises:
        ValueError: a logit is not finite.
    """
    votes = max(votes, 1)
    is_own = _own_parts(clouds.table).to(device)
    scales = vote_scales(len(clouds), votes, seed)
    every, own = [], []
    starts = range(0, len(clouds), batch_size)
    with eval_mode(network), torch.inference_mode():
        for start in tqdm(starts, desc=progress, leave=False, disable=not progress or not is_terminal()):
            rows = slice(start, start + batch_size)
            points, category = clouds.points[rows].to(device), clouds.categories[rows].to(device)
            copies = (points * scale[rows, None].to(device) for scale in scales)
            logits = sum(network(copy, category).float() for copy in copies) / votes  # (B, N, P)
            check_finite(logits, start, "logit")
            every.append(logits.argmax(dim=-1).cpu())
            own.append(logits.masked_fill(~is_own[category][:, None], -torch.inf).argmax(dim=-1).cpu())
    return dict(zip(PROTOCOLS, (torch.cat(every).numpy(), torch.cat(own).numpy())))


def segment_cloud(
    network: nn.Module, points: np.ndarray, category: int, row: PartCategory, device: torch.device
) -> np.ndarray:
    """Predict the parts (N,) of one cloud (N, 3) among those of its category, counted from 0.

    Args:
        network: on `device`; points (B, N, 3), category (B,) -> logits (B, N, P).
        category, row: the category's index in the network's table, and its row there.
    Raises:
        ValueError: fewer points than neighbours, or a logit that is not finite.
    """
    batch = torch.from_numpy(points)[None].to(device)
    with eval_mode(network), torch.inference_mode():
        logits = network(batch, torch.tensor([category], device=device)).float()  # (1, N, P)
    check_finite(logits, 0, "logit")
    return logits[0, :, row.part_labels.start : row.part_labels.stop].argmax(dim=-1).cpu().numpy()


def vote_scales(num_clouds: int, votes: int, seed: int) -> Tensor:
    """Draw the factors of each axis of each copy of each cloud, (votes, M, 3) float32; those of copy 0 are 1."""
    drawn = [np.random.default_rng((seed, vote)).uniform(*VOTE_SCALES, (num_clouds, 3)) for vote in range(1, votes)]
    return torch.from_numpy(np.stack([np.ones((num_clouds, 3)), *drawn]).astype(np.float32))


def _own_parts(table: PartTable) -> Tensor:
    """Mark the parts of each category, (number of categories, P) bool."""
    part = torch.arange(count_parts(table))
    return torch.stack([(part >= row.part_labels.start) & (part < row.part_labels.stop) for row in table])


def score_parts(clouds: ShapeNetPart, predictions: dict[str, np.ndarray]) -> list[PartScore]:
    """Score the predictions of `predict_parts`, protocol by protocol, over every point of every cloud."""
    return [_score(name, clouds, predicted) for name, predicted in predictions.items()]


def _score(protocol: str, clouds: ShapeNetPart, predicted: np.ndarray) -> PartScore:
    truth, categories = clouds.part_labels.numpy(), clouds.categories.numpy()
    ious = shape_ious(truth, predicted, categories, clouds.table)
    return PartScore(
        protocol,
        instance_miou(ious),
        class_miou(ious, categories),
        overall_accuracy(truth.ravel(), predicted.ravel()),
        category_ious(ious, categories, clouds.table),
    )


def category_table(scores: list[PartScore], clouds: ShapeNetPart) -> str:
    """Format a table of each category that occurs, its number of shapes and its mean IoU by each protocol."""
    numbers = np.bincount(clouds.categories.numpy(), minlength=len(clouds.table))
    shapes = {row.name: number for row, number in zip(clouds.table, numbers)}
    width = max(map(len, ("category", *shapes))) + 2
    lines = [f"{'category':{width}}{'shapes':>7}" + "".join(f"{score.protocol:>16}" for score in scores)]
    for name in scores[0].by_category:
        cells = "".join(f"{score.by_category[name]:16.4f}" for score in scores)
        lines.append(f"{name:{width}}{shapes[name]:7}{cells}")
    return "\n".join(lines)


def part_record(score: PartScore, clouds: ShapeNetPart, **constants: Any) -> dict[str, Any]:
    """Make one object of a report's `results`; constants are JSON values of the network and the data."""
    return {
        "task": "part_segmentation",
        "protocol": score.protocol,
        "miou_instance": score.miou_instance,
        "miou_class": score.miou_class,
        "accuracy": score.accuracy,
        "miou_by_category": score.by_category,
        "num_test": len(clouds),
        "num_classes": len(clouds.table),
        "num_parts": count_parts(clouds.table),
        "num_points": clouds.points.shape[1],
        "normalize": False,
        "data": str(clouds.shards[0].parent),
        **constants,
    }
