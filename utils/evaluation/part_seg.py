"""Scores of part segmentation: instance and class mIoU, by the argmax over all parts and over the category's own."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from datasets.labels import NUM_PARTS, SHAPENET_PART
from datasets.shapenet_part import ShapeNetPart
from utils.features import check_finite, eval_mode
from utils.log import is_terminal
from utils.metrics import category_ious, class_miou, instance_miou, overall_accuracy, shape_ious

# all_parts is the published protocol. category_parts uses the category, which the network is told anyway.
PROTOCOLS = ("all_parts", "category_parts")


class PartScore(NamedTuple):
    """Figures of one protocol in [0, 1]; `by_category` holds the mean IoU of each category that occurs."""

    protocol: str
    miou_instance: float
    miou_class: float
    accuracy: float
    by_category: dict[str, float]


def score_parts(
    network: nn.Module, clouds: ShapeNetPart, *, batch_size: int, device: torch.device, progress: str = ""
) -> list[PartScore]:
    """One score for each of PROTOCOLS, in that order, of every point of every cloud.

    Args:
        network: on `device`; points (B, N, 3), category (B,) -> logits (B, N, 50). Its modes are left as they were.
        clouds: the split.
        batch_size: clouds per forward pass.
        progress: name of a progress bar, shown on terminals; "" for none.
    Raises:
        ValueError: batch size below 1, or a logit that is not finite.
    """
    predictions = predict_parts(network, clouds, batch_size=batch_size, device=device, progress=progress)
    return [_score(name, clouds, predicted) for name, predicted in zip(PROTOCOLS, predictions)]


def predict_parts(
    network: nn.Module, clouds: ShapeNetPart, *, batch_size: int, device: torch.device, progress: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Most likely part of every point: among all parts, and among those of the cloud's category; each (M, N) int64.

    Args, Raises: as `score_parts`.
    """
    if batch_size < 1:
        raise ValueError(f"--test_batch_size must be at least 1, got {batch_size}")
    is_own = _own_parts().to(device)
    every, own = [], []
    starts = range(0, len(clouds), batch_size)
    with eval_mode(network), torch.inference_mode():
        for start in tqdm(starts, desc=progress, leave=False, disable=not progress or not is_terminal()):
            rows = slice(start, start + batch_size)
            category = clouds.categories[rows].to(device)
            logits = network(clouds.points[rows].to(device), category).float()  # (B, N, 50)
            check_finite(logits, start, "logit")
            every.append(logits.argmax(dim=-1).cpu())
            own.append(logits.masked_fill(~is_own[category][:, None], -torch.inf).argmax(dim=-1).cpu())
    return torch.cat(every).numpy(), torch.cat(own).numpy()


def _own_parts() -> Tensor:
    """Which parts belong to which category, (16, 50) bool."""
    part = torch.arange(NUM_PARTS)
    return torch.stack([(part >= row.part_labels.start) & (part < row.part_labels.stop) for row in SHAPENET_PART])


def _score(protocol: str, clouds: ShapeNetPart, predicted: np.ndarray) -> PartScore:
    truth, categories = clouds.part_labels.numpy(), clouds.categories.numpy()
    ious = shape_ious(truth, predicted, categories)
    return PartScore(
        protocol,
        instance_miou(ious),
        class_miou(ious, categories),
        overall_accuracy(truth.ravel(), predicted.ravel()),
        category_ious(ious, categories),
    )


def category_table(scores: list[PartScore], clouds: ShapeNetPart) -> str:
    """Lines of a table: each category that occurs, its number of shapes, its mean IoU by each protocol."""
    numbers = np.bincount(clouds.categories.numpy(), minlength=len(SHAPENET_PART))
    shapes = {row.name: number for row, number in zip(SHAPENET_PART, numbers)}
    lines = [f"{'category':12}{'shapes':>7}" + "".join(f"{score.protocol:>16}" for score in scores)]
    for name in scores[0].by_category:
        cells = "".join(f"{score.by_category[name]:16.4f}" for score in scores)
        lines.append(f"{name:12}{shapes[name]:7}{cells}")
    return "\n".join(lines)


def part_record(score: PartScore, clouds: ShapeNetPart, *, split: str, **constants: Any) -> dict[str, Any]:
    """One object of a report's `results`; constants are JSON values of the network and the data."""
    return {
        "task": "part_segmentation",
        "protocol": score.protocol,
        "dataset": "shapenetpart",
        "split": split,
        "miou_instance": score.miou_instance,
        "miou_class": score.miou_class,
        "accuracy": score.accuracy,
        "miou_by_category": score.by_category,
        "num_shapes": len(clouds),
        "num_points": clouds.points.shape[1],
        "data": str(clouds.shards[0].parent),
        **constants,
    }
