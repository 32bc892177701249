"""Rooms of S3DIS: `Area_<k>/<room>/Annotations/<class>_<n>.txt`, or `<room>.txt` for a room without annotations.

I. Armeni et al., 3D Semantic Parsing of Large-Scale Indoor Spaces, CVPR 2016.
"""

import re
from pathlib import Path

import numpy as np

from datasets.scenes.point_text import PointRows, read_coloured_points
from datasets.scenes.scene import Scene, instance_boxes
from datasets.scenes.scene_classes import S3DIS_CLASSES, S3DIS_UNBOXED
from datasets.shapes.file_listing import is_hidden

ANNOTATIONS = "Annotations"
_COPY = re.compile(r"(.+) \(\d+\)$")  # "wall_3 (1)" of Area_5/office_36 repeats "wall_3"


def list_areas(root: Path) -> list[int]:
    """Return the numbers k of the folders Area_<k> in root, sorted."""
    names = [path.name.removeprefix("Area_") for path in root.glob("Area_*") if path.is_dir()]
    return sorted(int(name) for name in names if name.isdecimal())


def list_rooms(root: Path, areas: tuple[int, ...] | None = None) -> list[Path]:
    """List the folders of the rooms, by area and name.

    Args:
        areas: numbers of the areas, such as (5,) for the usual test; None takes all.
    Raises:
        FileNotFoundError: no such area, or no room in it.
    """
    rooms = []
    for area in list_areas(root) if areas is None else areas:
        folder = root / f"Area_{area}"
        inner = sorted(folder.iterdir()) if folder.is_dir() else []
        found = [path for path in inner if path.is_dir() and not is_hidden(path.name)]
        if not found:
            raise FileNotFoundError(f"no room in {folder}; expected {folder}/<room>/{ANNOTATIONS}/<class>_<n>.txt")
        rooms += found
    if not rooms:
        raise FileNotFoundError(f"no room in {root}; expected Area_<k>/<room>/{ANNOTATIONS}/<class>_<n>.txt")
    return rooms


def read_room(folder: Path) -> Scene:
    """Read a room: the points of its annotated objects, file by file.

    A file is an instance, and the part of its name before "_" its class; other names than the 13, such as `stairs`,
    are clutter, as in PointNet's preparation. A file `<name> (1).txt` beside `<name>.txt` is a copy and left out.

    Args:
        folder: `Area_<k>/<room>`; the scene is called so.
    Returns:
        the scene; without labels if the room has no folder of annotations, without colours if no file has any.
    Raises:
        FileNotFoundError: no file of points.
        ValueError: a line that is no point, see `read_coloured_points`; files with and without colours in one room.
    """
    name = f"{folder.parent.name}/{folder.name}"
    if not (folder / ANNOTATIONS).is_dir():
        rows = read_coloured_points(_whole_room(folder))
        return Scene(name, rows.points.astype(np.float32), rows.colours, notes=rows.notes)
    paths, notes = _annotations(folder)
    files = [read_coloured_points(path) for path in paths]
    lengths = [len(rows.points) for rows in files]
    points = np.concatenate([rows.points for rows in files]).astype(np.float32)
    classes = [path.stem.split("_")[0] for path in paths]
    notes += [f"{path}: {kind} counts as clutter" for path, kind in zip(paths, classes) if kind not in S3DIS_CLASSES]
    numbers = [S3DIS_CLASSES.index(kind if kind in S3DIS_CLASSES else "clutter") for kind in classes]
    labels = np.array(numbers, dtype=np.uint8).repeat(lengths)
    instances = np.arange(1, len(files) + 1, dtype=np.int32).repeat(lengths)
    boxes = instance_boxes(points, labels, instances, S3DIS_UNBOXED)
    notes += [note for rows in files for note in rows.notes]
    return Scene(name, points, _colours(paths, files), labels, instances, boxes, tuple(notes))


def _annotations(folder: Path) -> tuple[list[Path], list[str]]:
    paths, notes = [], []
    names = {path.stem: path for path in sorted((folder / ANNOTATIONS).glob("*.txt")) if not is_hidden(path.name)}
    for stem, path in names.items():
        copy = _COPY.match(stem)
        if copy and copy[1] in names:
            notes.append(f"{path}: a copy of {copy[1]}.txt, left out")
        else:
            paths.append(path)
    if not paths:
        raise FileNotFoundError(f"no <class>_<n>.txt in {folder / ANNOTATIONS}; get the room again")
    return paths, notes


def _whole_room(folder: Path) -> Path:
    """Find the file of a room's points; that of Area_6/copyRoom_1 is called copy_Room_1.txt."""
    named, found = folder / f"{folder.name}.txt", sorted(folder.glob("*.txt"))
    if named.is_file() or len(found) != 1:
        if not named.is_file():
            raise FileNotFoundError(f"no {named} and no {folder / ANNOTATIONS}; get the room again")
        return named
    return found[0]


def _colours(paths: list[Path], files: list[PointRows]) -> np.ndarray | None:
    without = [path for path, rows in zip(paths, files) if rows.colours is None]
    if without and len(without) < len(files):
        raise ValueError(
            f"{without[0]} has no colours and {len(files) - len(without)} other files of the room have; add them or "
            "drop the colours of all"
        )
    return None if without else np.concatenate([rows.colours for rows in files])
