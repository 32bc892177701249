"""Scenes with boxes as batches of a detector, and its scores on scenes. Metres, z up.

Letters: B scenes, N points, K boxes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets.detection.scene_boxes import SceneBoxes
from datasets.detection.votes import Votes
from datasets.transforms.scene_augment import SceneAugment
from models.detection.vote_network import VoteNet
from utils.detection.average_precision import THRESHOLDS, DetectionScore, match, score_detections
from utils.detection.detections import PUBLISHED_SETTINGS, Detections, DetectionSettings, detect

FLOOR = 0.99  # per cent of the points are taken to lie below the floor, as published
MOST_BOXES = 64  # of a scene, as published


class Scene(NamedTuple):
    """points (N, 3 + C) float32, the boxes of the scene and what each of its points should vote for."""

    points: np.ndarray
    boxes: SceneBoxes
    votes: Votes


def prepare(
    scene: Scene,
    rng: np.random.Generator,
    num_points: int,
    augment: SceneAugment | None = None,
    *,
    use_height: bool = False,
) -> Scene:
    """Draw points of a scene, and augment it.

    Args:
        num_points: of the result; drawn with repetition only where the scene has fewer.
        use_height: add a last column, the height over the floor.
    Returns:
        Scene with the further columns of its points as they were.
    """
    rows = rng.choice(len(scene.points), num_points, replace=len(scene.points) < num_points)
    points, votes = scene.points[rows], Votes(*(column[rows] for column in scene.votes))
    boxes = scene.boxes
    if augment is not None:
        moved, boxes, votes = augment(points[:, :3], boxes, votes, rng)
        points = np.concatenate([moved, points[:, 3:]], axis=1)
    if use_height:
        height = points[:, 2:3] - np.percentile(points[:, 2], FLOOR)
        points = np.concatenate([points, height.astype(np.float32)], axis=1)
    return Scene(points, boxes, votes)


def collate(scenes: Sequence[Scene], most_boxes: int = MOST_BOXES) -> dict[str, Tensor]:
    """Make the batch of `Detection` out of scenes with equally many points; boxes are padded to `most_boxes`.

    Raises:
        ValueError: a scene has more boxes.
    """
    numbers = [len(scene.boxes.label) for scene in scenes]
    if max(numbers) > most_boxes:
        raise ValueError(
            f"scene {int(np.argmax(numbers))} of the batch has {max(numbers)} boxes, expected at most {most_boxes}; "
            "take it out of its split"
        )
    batch = {}
    for name in SceneBoxes._fields:
        columns = [getattr(scene.boxes, name) for scene in scenes]
        padded = np.zeros((len(scenes), most_boxes, *columns[0].shape[1:]), np.int64 if name == "label" else np.float32)
        for row, column in zip(padded, columns):
            row[: len(column)] = column
        batch[name] = padded
    batch["is_box"] = np.arange(most_boxes) < np.array(numbers)[:, None]
    batch["points"] = np.stack([scene.points for scene in scenes])
    batch |= {name: np.stack([getattr(scene.votes, name) for scene in scenes]) for name in Votes._fields}
    return {name: torch.from_numpy(column) for name, column in batch.items()}


def detect_scenes(
    network: VoteNet,
    scenes: Sequence[Scene],
    *,
    batch_size: int,
    device: torch.device,
    settings: DetectionSettings = PUBLISHED_SETTINGS,
) -> list[Detections]:
    """Return the detections of each of some scenes, which are prepared and not augmented.

    Args:
        network: on `device`, in eval mode.
        batch_size: scenes per forward pass.
    """
    found = []
    for start in range(0, len(scenes), batch_size):
        points = np.stack([scene.points for scene in scenes[start : start + batch_size]])
        on_device = torch.from_numpy(points).to(device)
        with torch.inference_mode():
            found += detect(network(on_device).boxes, on_device, network.code, settings)
    return found


def score_scenes(found: Sequence[Detections], scenes: Sequence[Scene], num_classes: int) -> list[DetectionScore]:
    """Score detections of scenes at each of THRESHOLDS."""
    matches = match(found, [scene.boxes for scene in scenes], num_classes)
    return [score_detections(matches, threshold) for threshold in THRESHOLDS]
