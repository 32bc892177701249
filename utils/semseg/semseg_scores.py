"""Scores of a semantic segmentation over whole rooms, at their points.

Letters: N points, Y classes.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from datasets.scenes.scene import IGNORED, Scene, colour_features
from datasets.scenes.training_rooms import centred
from models.sparse.voxelise import voxelise
from utils.evaluation.features import eval_mode
from utils.evaluation.json_report import result_line, write_report
from utils.run.provenance import file_sha256
from utils.semseg.confusion import ConfusionMatrix, SegmentationScore
from utils.semseg.room_clouds import RoomClouds
from utils.semseg.semseg_weights import load_for_rooms

TASK, PROTOCOL = "semantic_segmentation", "whole_rooms"


def room_probabilities(
    network: nn.Module, scene: Scene, voxel: float, device: torch.device, *, votes: int = 1
) -> Tensor:
    """Return the probabilities (N, Y) of the classes at every point of a room, those of its voxel.

    Args:
        network: on `device`.
        voxel: edge in metres.
        votes: V; the mean over copies turned about z by 0, 1 / V, 2 / V ... of a full turn.
    Raises:
        ValueError: a logit is not finite.
    """
    points = torch.from_numpy(centred(scene.points)).to(device)
    colours = torch.from_numpy(colour_features(scene.colours)).to(device)
    total = 0
    with eval_mode(network), torch.inference_mode():
        for vote in range(votes):
            voxels = voxelise(_turned(points, 2 * math.pi * vote / votes), colours, voxel)
            logits = network(voxels.tensor).features.float()
            if not logits.isfinite().all():
                raise ValueError(f"{scene.name}: logits that are not finite; the network has diverged")
            total = total + voxels.to_points(logits.softmax(dim=1))
    return total / votes


def _turned(points: Tensor, angle: float) -> Tensor:
    """Turn points about z; by 0 they stay as they are, bit for bit. Shape: (N, 3) -> (N, 3)."""
    cos, sin = math.cos(angle), math.sin(angle)
    return points @ points.new_tensor([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) if angle else points


def count_rooms(
    network: nn.Module,
    rooms: Iterable[Scene],
    num_classes: int,
    voxel: float,
    device: torch.device,
    votes: int = 1,
    *,
    keep: Callable[[Scene, np.ndarray], object] = lambda scene, predicted: None,
) -> ConfusionMatrix:
    """Count the points of rooms by true and predicted class; each point of any room counts alike.

    `keep` is shown each room with its predictions (N,).

    Raises:
        ValueError: as `room_probabilities`.
    """
    matrix = ConfusionMatrix(num_classes, IGNORED)
    for scene in rooms:
        found = room_probabilities(network, scene, voxel, device, votes=votes).argmax(dim=1).cpu().numpy()
        matrix.add(scene.labels, found)
        keep(scene, found)
    return matrix


def score_room_network(
    path: Path,
    rooms: list[Scene],
    data: dict[str, Any],
    device: torch.device,
    *,
    votes: int,
    report: Callable[[str], None] = print,
    json_file: str | Path = "",
    clouds_file: Path | None = None,
) -> list[dict[str, Any]]:
    """Score the network at `path`: a line a class, and a record, another one with votes; return the records.

    Args:
        data: dataset, class_names, and test_area and voxel where they were asked for; what the network was trained for
            must agree.
        json_file: of the records; "" writes none.
        clouds_file: of some rooms with their predictions, without votes, for scripts.report; None writes none.
    Raises:
        FileNotFoundError, ValueError: as `load_for_rooms`; it was trained on other classes, on the rooms tested on, or
            with other voxels.
    """
    network, origin = load_for_rooms(path)
    for name, asked in data.items():
        if asked is not None and origin[name] != asked:
            raise ValueError(f"{path} was trained with {name} {origin[name]}, got {asked}; test it as it was trained")
    digest, names = file_sha256(path), origin.pop("class_names")
    report(f"network: {path}, sha256 {digest}")
    report(f"data: {origin['split']} rooms of {origin['dataset']}, {len(rooms)} with {_num_points(rooms)} points")
    records, clouds = [], RoomClouds()
    for number in dict.fromkeys((1, votes)):
        matrix = count_rooms(network.to(device), rooms, len(names), origin["voxel"], device, number, keep=clouds.add)
        report("\n".join(class_table(matrix.scores(), names)))
        records.append(
            describe_scores(matrix, names)
            | {**origin, "voting": number if number > 1 else False, "num_test": len(rooms), "num_classes": len(names)}
            | {"network": str(path), "network_sha256": digest}
        )
        report(result_line(records[-1]))
    write_report(json_file, records)
    if clouds_file:
        clouds.write(clouds_file, names)
    return records


def describe_scores(matrix: ConfusionMatrix, names: list[str]) -> dict[str, Any]:
    """Describe the figures of a record; `confusion` holds the counts, so that those of several tests can be added."""
    score = matrix.scores()
    return {
        **{"task": TASK, "protocol": PROTOCOL, "miou": score.miou, "accuracy": score.accuracy},
        **{"mean_class_accuracy": score.macc, "iou_by_class": _by_class(score.iou, names)},
        **{"class_names": names, "confusion": matrix.counts.tolist()},
    }


def class_table(score: SegmentationScore, names: Iterable[str]) -> list[str]:
    """Format IoU and recall of each class, "-" where none of its points was seen or predicted."""
    rows = zip(names, score.iou, score.recall)
    return [
        f"{'class':16}{'IoU':>8}{'recall':>8}",
        *(f"{name:16}{_cell(iou):>8}{_cell(recall):>8}" for name, iou, recall in rows),
    ]


def _cell(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}"


def _by_class(values: np.ndarray, names: Iterable[str]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in zip(names, values)}


def _num_points(rooms: list[Scene]) -> int:
    return sum(len(scene.points) for scene in rooms)
