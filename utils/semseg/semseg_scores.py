"""Scores of a semantic segmentation over whole rooms, at their points, and of networks of blocks over blocks.

Letters: N points, Y classes.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets.scenes.scene import IGNORED, Scene
from models.encoders.scenes.block_networks import BLOCK_NETWORKS
from utils.evaluation.json_report import result_line, write_report
from utils.run.provenance import file_sha256
from utils.semseg.block_rooms import BlockRooms
from utils.semseg.confusion import ConfusionMatrix, SegmentationScore
from utils.semseg.room_clouds import RoomClouds
from utils.semseg.semseg_settings import check_stride
from utils.semseg.semseg_weights import load_for_rooms
from utils.semseg.voxel_rooms import VoxelRooms

TASK, WHOLE_ROOMS, BLOCKS = "semantic_segmentation", "whole_rooms", "blocks"  # task, protocols
RoomNetwork = VoxelRooms | BlockRooms


def load_room_network(path: str | Path, block_stride: float | None = None) -> RoomNetwork:
    """Load a trained network as what gives the points of rooms their classes.

    Args:
        block_stride: step of the grid of blocks in metres; None takes that of the run.
    Raises:
        FileNotFoundError, ValueError: as `load_for_rooms`; a step for a network of voxels, or above the blocks' size.
    """
    network, origin = load_for_rooms(path)
    if origin["model"] in BLOCK_NETWORKS:
        stride = block_stride or origin["block_stride"]
        check_stride(stride, origin["block_size"])
        return BlockRooms(network, origin | {"block_stride": stride})
    if block_stride is not None:
        raise ValueError(f"--block_stride means nothing to {path}, a network of voxels: leave it out")
    return VoxelRooms(network, origin)


def count_rooms(
    probabilities: Callable[[Scene], Tensor],
    rooms: Iterable[Scene],
    num_classes: int,
    *,
    keep: Callable[[Scene, np.ndarray], object] = lambda scene, predicted: None,
) -> ConfusionMatrix:
    """Count the points of rooms by true and predicted class; each point of any room counts alike.

    Args:
        probabilities: of the classes at every point of a room (N, Y).
        keep: is shown each room with its predictions (N,).
    """
    matrix = ConfusionMatrix(num_classes, IGNORED)
    for scene in rooms:
        found = probabilities(scene).argmax(dim=1).cpu().numpy()
        matrix.add(scene.labels, found)
        keep(scene, found)
    return matrix


def _counts(
    trained: RoomNetwork, rooms: list[Scene], device: torch.device, votes: int, clouds: RoomClouds
) -> Iterator[tuple[dict[str, Any], ConfusionMatrix]]:
    """Yield what names each count in a record, and the count: of blocks, of rooms, of rooms with votes."""
    if isinstance(trained, BlockRooms):
        yield {"protocol": BLOCKS, "voting": False}, trained.count_blocks(rooms, device)
    num_classes = len(trained.origin["class_names"])
    for number in dict.fromkeys((1, votes)):
        matrix = count_rooms(
            lambda scene, number=number: trained.probabilities(scene, device, votes=number),
            rooms,
            num_classes,
            keep=clouds.add,
        )
        yield {"protocol": WHOLE_ROOMS, "voting": number if number > 1 else False}, matrix


def score_room_network(
    path: Path,
    rooms: list[Scene],
    data: dict[str, Any],
    device: torch.device,
    *,
    votes: int,
    block_stride: float | None = None,
    report: Callable[[str], None] = print,
    json_file: str | Path = "",
    clouds_file: Path | None = None,
) -> list[dict[str, Any]]:
    """Score the network at `path`: a line a class, and a record, another one with votes; return the records.

    Args:
        data: dataset, class_names, and of test_area, model and form what was asked for, None elsewhere; what the
            network was trained for must agree.
        block_stride: see `load_room_network`.
        json_file: of the records; "" writes none.
        clouds_file: of some rooms with their predictions, without votes, for scripts.report; None writes none.
    Raises:
        FileNotFoundError, ValueError: as `load_room_network`; it was trained on other classes, on the rooms tested on,
            or with other voxels or blocks.
    """
    trained = load_room_network(path, block_stride)
    origin = dict(trained.origin)
    for name, asked in data.items():
        if asked is not None and origin.get(name) != asked:
            raise ValueError(
                f"{path} was trained with {name} {origin.get(name)}, got {asked}; test it as it was trained"
            )
    digest, names = file_sha256(path), origin.pop("class_names")
    report(f"network: {path}, sha256 {digest}")
    report(f"data: {origin['split']} rooms of {origin['dataset']}, {len(rooms)} with {_num_points(rooms)} points")
    records, clouds = [], RoomClouds()
    for named, matrix in _counts(trained, rooms, device, votes, clouds):
        report("\n".join(class_table(matrix.scores(), names)))
        records.append(
            describe_scores(matrix, names)
            | {**origin, **named, "num_test": len(rooms), "num_classes": len(names)}
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
        **{"task": TASK, "miou": score.miou, "accuracy": score.accuracy},
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
