"""Writing of a scanned room as a scene of ScanNet, with its frames, and of the lists of the splits."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from plyfile import PlyData, PlyElement

from data.procedural.rooms.furnishing import Room
from data.procedural.rooms.room_classes import KINDS
from data.procedural.rooms.room_scan import Cloud, ScannedFrame
from data.procedural.solids import rotation
from utils.files import write_text

_SEGMENT_M = 0.5  # edge of the cells that each thing is split into
_QUALITY = 92  # of the JPEG pictures


def write_scan(
    folder: Path, name: str, room: Room, frames: list[ScannedFrame], cloud: Cloud, rng: np.random.Generator
) -> None:
    """Write the scene `name` into a new folder; as in real ones, its coordinates are turned against the axes."""
    folder.mkdir(parents=True)
    to_axes = np.eye(4)
    to_axes[:3, :3] = rotation("z", rng.uniform(0, 360))
    to_axes[:3, 3] = rng.uniform(-3, 3, 3)
    to_axes = np.round(to_axes, 6)  # what the file will say
    to_raw = np.linalg.inv(to_axes)
    raw = cloud.points @ to_raw[:3, :3].T + to_raw[:3, 3]
    vertices = {"x": raw[:, 0], "y": raw[:, 1], "z": raw[:, 2]}
    colours = dict(zip(("red", "green", "blue"), cloud.colours.T))
    nyu40 = np.array([KINDS[one.kind].nyu40 for one in room.things], dtype=np.uint16)[cloud.thing]
    alpha = {"alpha": np.full(len(raw), 255, dtype=np.uint8)}
    write_ply(folder / f"{name}_vh_clean_2.ply", vertices | colours | alpha)
    write_ply(folder / f"{name}_vh_clean_2.labels.ply", vertices | colours | alpha | {"label": nyu40})
    _write_instances(folder, name, room, cloud)
    for number, frame in enumerate(frames):
        _write_frame(folder, number, frame, to_raw)
    _write_intrinsics(folder / "intrinsic", frames[0])
    height, width = frames[0].depth.shape
    words = " ".join(f"{value:.6f}" for value in to_axes.ravel())
    lines = [f"axisAlignment = {words}", f"depthHeight = {height}", f"depthWidth = {width}"]
    lines += [f"numDepthFrames = {len(frames)}", f"sceneType = {room.kind}"]
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_lists(root: Path, splits: dict[str, list[str]]) -> None:
    """Write scannetv2_<split>.txt for each split."""
    for split, names in splits.items():
        write_text(root / f"scannetv2_{split}.txt", "".join(f"{name}\n" for name in names))


def write_ply(path: Path, columns: dict[str, np.ndarray]) -> None:
    """Write vertices with these properties, floats as float32, and no faces, little-endian."""
    kinds = {name: "f4" if array.dtype.kind == "f" else array.dtype.str for name, array in columns.items()}
    rows = np.empty(len(next(iter(columns.values()))), dtype=list(kinds.items()))
    for name, array in columns.items():
        rows[name] = array
    faces = np.empty(0, dtype=[("vertex_indices", "i4", (3,))])
    elements = [PlyElement.describe(rows, "vertex"), PlyElement.describe(faces, "face")]
    PlyData(elements, byte_order="<").write(str(path))


def _write_instances(folder: Path, name: str, room: Room, cloud: Cloud) -> None:
    """Write the segments of the points, cells of each thing, and the groups of segments that are the things."""
    cell = np.floor(cloud.points / _SEGMENT_M).astype(np.int64)
    key = np.concatenate([cloud.thing[:, None], cell - cell.min(axis=0)], axis=1)
    rows, segment = np.unique(key, axis=0, return_inverse=True)
    segments = {"sceneId": name, "segIndices": segment.tolist()}
    (folder / f"{name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segments))
    groups = []
    for number, one in enumerate(np.unique(cloud.thing).tolist()):
        members = np.flatnonzero(rows[:, 0] == one).tolist()
        label = KINDS[room.things[one].kind].raw
        groups.append({"id": number, "objectId": number, "segments": members, "label": label})
    (folder / f"{name}.aggregation.json").write_text(json.dumps({"sceneId": name, "segGroups": groups}))


def _write_frame(folder: Path, number: int, frame: ScannedFrame, to_raw: np.ndarray) -> None:
    for part in ("color", "depth", "pose"):
        (folder / part).mkdir(exist_ok=True)
    Image.fromarray(frame.colour).save(folder / "color" / f"{number}.jpg", quality=_QUALITY)
    Image.fromarray(frame.depth).save(folder / "depth" / f"{number}.png", compress_level=3)
    _write_matrix(folder / "pose" / f"{number}.txt", to_raw @ np.linalg.inv(frame.camera.extrinsics))


def _write_intrinsics(folder: Path, frame: ScannedFrame) -> None:
    """Write the matrix of all frames; in the files, a pixel's centre lies at its whole (column, row)."""
    folder.mkdir()
    matrix = np.eye(4)
    matrix[:3, :3] = frame.camera.intrinsics
    matrix[:2, 2] -= 0.5
    for name in ("depth", "color"):
        _write_matrix(folder / f"intrinsic_{name}.txt", matrix)
        _write_matrix(folder / f"extrinsic_{name}.txt", np.eye(4))


def _write_matrix(path: Path, matrix: np.ndarray) -> None:
    path.write_text("".join(" ".join(f"{value:.6f}" for value in row) + "\n" for row in matrix), encoding="utf-8")
