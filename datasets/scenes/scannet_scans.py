"""Scenes of ScanNet: `scans/<scene>/<scene>_vh_clean_2.ply` with labels and instances, and the lists of the splits.

A. Dai et al., ScanNet: Richly-annotated 3D Reconstructions of Indoor Scenes, CVPR 2017.
"""

import json
from pathlib import Path

import numpy as np

from datasets.meshes.ply_file import open_ply
from datasets.scenes.scene import NO_INSTANCE, Scene, instance_boxes
from datasets.scenes.scene_classes import SCANNET_UNBOXED, scannet_labels
from datasets.shapes.ply_clouds import colours_of, points_of
from datasets.text_files import decode_text

SCAN_FOLDERS = ("scans", "scans_test")
SPLITS = ("train", "val", "test")
MADE_ROOMS = "make_rooms.json"  # that data.make_rooms leaves in a folder of its own rooms
_CLOUD, _LABELS = "_vh_clean_2.ply", "_vh_clean_2.labels.ply"
_SEGMENTS = "_vh_clean_2.0.010000.segs.json"
_MOST = 2**31 - 1  # numbers of segments and objects lie below it
_GROUPS = ".aggregation.json"  # that of _vh_clean.aggregation.json numbers the segments of the finer mesh _vh_clean.ply


def has_scans(root: Path) -> bool:
    """Return whether root holds scenes of ScanNet."""
    return any(any((root / name).glob("scene*")) for name in SCAN_FOLDERS)


def list_scans(root: Path, split: str | None = None) -> list[Path]:
    """List the folders of all scenes below root, sorted, or of the scenes of a split in the order of its list.

    The list of a split is `scannetv2_<split>.txt` in root or in root/meta_data.

    Raises:
        FileNotFoundError: no scene, no list of the split, or a scene of the list is not there.
    """
    scans = {path.name: path for name in SCAN_FOLDERS for path in sorted((root / name).glob("scene*")) if path.is_dir()}
    if not scans:
        raise FileNotFoundError(f"no scene in {root}; expected {root / SCAN_FOLDERS[0]}/<scene>/<scene>{_CLOUD}")
    if split is None:
        return [scans[name] for name in sorted(scans)]
    found = split_list(root, split)
    if found is None:
        source = "ScanNet's Tasks/Benchmark has it"
        if (root / MADE_ROOMS).is_file():
            source = "data.make_rooms writes it last: run it again, with --overwrite if it says there is nothing to do"
        raise FileNotFoundError(f"no {root}/scannetv2_{split}.txt, a list of scenes; {source}")
    names = list_names(found)
    missing = [name for name in names if name not in scans]
    if missing:
        raise FileNotFoundError(
            f"{found} names {len(missing)} scenes that are not in {root / SCAN_FOLDERS[0]}, first {missing[0]}; "
            "put them there or shorten the list"
        )
    return [scans[name] for name in names]


def list_names(path: Path) -> list[str]:
    """Read the names of scenes in a list."""
    return decode_text(path.read_bytes(), path).split()


def split_list(root: Path, split: str) -> Path | None:
    """Return the path of the list of a split; None where there is none."""
    places = [folder / f"scannetv2_{split}.txt" for folder in (root, root / "meta_data")]
    return next((path for path in places if path.is_file()), None)


def cloud_path(folder: Path) -> Path:
    """Return the path of the cloud of a scene."""
    return folder / f"{folder.name}{_CLOUD}"


def labels_path(folder: Path) -> Path:
    """Return the path of the labels of a scene; those of the test split have none."""
    return folder / f"{folder.name}{_LABELS}"


def has_instances(folder: Path) -> bool:
    """Return whether a scene has a file of instances."""
    return any((folder / f"{folder.name}{ending}").is_file() for ending in (_SEGMENTS, _GROUPS))


def read_scan(folder: Path, *, align: bool = True) -> Scene:
    """Read a scene of ScanNet; one without `_vh_clean_2.labels.ply`, such as those of the test split, has no labels.

    Args:
        folder: `scans/<scene>`.
        align: turn the cloud by the `axisAlignment` of `<scene>.txt`, so that walls and boxes follow the axes. A scene
            of the test split has none and stays as it is. False keeps the coordinates of the files.
    Raises:
        FileNotFoundError: no cloud; no `<scene>.txt` though `align`; one of both files of instances alone.
        ValueError: a damaged file, or files of different numbers of points; it is named.
    """
    path = cloud_path(folder)
    if not path.is_file():
        raise FileNotFoundError(f"no {path}, the cloud of the scene; get it from ScanNet, or take the scene out")
    ply = open_ply(path)
    points, colours = points_of(ply, path), colours_of(ply, path)
    if align:
        matrix = read_alignment(folder)
        points = (points.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
    labels, instances = _read_labels(folder, len(points)), _read_instances(folder, len(points))
    boxes = None
    if labels is not None and instances is not None:
        boxes = instance_boxes(points, labels, instances, SCANNET_UNBOXED)
    return Scene(folder.name, points, colours, labels, instances, boxes)


def read_alignment(folder: Path) -> np.ndarray:
    """Read the matrix (4, 4) that turns a scene to the axes, from `<scene>.txt`; the identity where it names none.

    Raises:
        FileNotFoundError: no such file. ValueError: its `axisAlignment` is not 16 finite numbers.
    """
    path = folder / f"{folder.name}.txt"
    if not path.is_file():
        raise FileNotFoundError(f"no {path}, which has the axisAlignment of the scene; get it from ScanNet")
    for line in decode_text(path.read_bytes(), path).split("\n"):
        name, _, value = line.partition("=")
        if name.strip() == "axisAlignment":
            return parse_matrix(value.split(), path, "axisAlignment")
    return np.eye(4)


def parse_matrix(words: list[str], path: Path, what: str) -> np.ndarray:
    """Parse 16 numbers into a matrix (4, 4) that can be inverted; a ValueError names a file with anything else."""
    try:
        matrix = np.array(words, dtype=np.float64).reshape(4, 4)
    except ValueError as error:
        raise ValueError(f"{path}: {what} has {len(words)} words, expected 16 numbers; get the file again") from error
    if not np.isfinite(matrix).all():
        raise ValueError(f"{path}: {what} is not finite; get the file again")
    if not 1e-9 < abs(np.linalg.det(matrix)) < np.inf:
        raise ValueError(f"{path}: {what} cannot be inverted, as where it is of zeros; get the file again")
    return matrix


def _read_labels(folder: Path, num_points: int) -> np.ndarray | None:
    path = labels_path(folder)
    if not path.is_file():
        return None
    ply = open_ply(path)
    if "vertex" not in ply or "label" not in ply["vertex"]:
        raise ValueError(f"{path}: its vertices have no property label; get the file again")
    labels = np.asarray(ply["vertex"]["label"])
    _check_length(path, "labels", len(labels), num_points)
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(f"{path}: labels are {labels.dtype}, down to {labels.min()}; expected whole numbers >= 0")
    return scannet_labels(labels)


def _read_instances(folder: Path, num_points: int) -> np.ndarray | None:
    """Read the segments of the points and the objects that they make up."""
    segments_path, groups_path = folder / f"{folder.name}{_SEGMENTS}", folder / f"{folder.name}{_GROUPS}"
    if not groups_path.is_file() and not segments_path.is_file():
        return None
    for path, other in ((groups_path, segments_path), (segments_path, groups_path)):
        if not path.is_file():
            raise FileNotFoundError(f"no {path}; instances need it and {other}")
    try:
        segments = _whole_numbers(json.loads(segments_path.read_bytes())["segIndices"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{segments_path} is damaged ({error!r}), expected segIndices; get it again") from error
    _check_length(segments_path, "segment numbers", len(segments), num_points)
    known, segment_of_point = np.unique(segments, return_inverse=True)
    instance_of_segment = np.full(len(known), NO_INSTANCE, dtype=np.int32)
    try:
        groups = [
            (_whole_numbers([group["objectId"]])[0], _whole_numbers(group["segments"]))
            for group in json.loads(groups_path.read_bytes())["segGroups"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{groups_path} is damaged ({error!r}), expected segGroups; get it again") from error
    for number, members in groups:
        instance_of_segment[np.isin(known, members)] = number + 1
    return instance_of_segment[segment_of_point]


def _whole_numbers(values: list[int]) -> np.ndarray:
    """Return a list of whole numbers of a JSON file as int64; a ValueError says what it holds instead."""
    numbers = np.array(values)
    if numbers.ndim != 1 or (len(numbers) and numbers.dtype.kind != "i"):
        raise ValueError(f"{numbers.dtype} of shape {numbers.shape} in place of whole numbers")
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < _MOST:
        raise ValueError(f"numbers from {numbers.min()} to {numbers.max()}")
    return numbers.astype(np.int64)


def _check_length(path: Path, what: str, found: int, num_points: int) -> None:
    if found != num_points:
        raise ValueError(f"{path} has {found} {what}, the cloud beside it {num_points} points; get both files again")
