"""A room out of any file or folder, for a network that was trained on rooms."""

from pathlib import Path

from datasets.meshes.ply_file import open_ply
from datasets.precision import to_float32
from datasets.scenes.point_text import read_coloured_points
from datasets.scenes.s3dis_rooms import ANNOTATIONS, read_room
from datasets.scenes.scannet_scans import read_scan
from datasets.scenes.scene import Scene
from datasets.shapes.ply_clouds import colours_of, points_of

EXPECTED = "expected a PLY file, a file .txt of lines x y z r g b, or a folder of a scene of ScanNet or room of S3DIS"


def read_coloured_room(path: Path) -> Scene:
    """Read the points and colours of a room, z up, as they are in its file.

    Of a PLY file the vertices are taken, also of a mesh; coordinates far from the origin are centred.

    Args:
        path: PLY, text of `x y z r g b`, `<scene>/` with `<scene>_vh_clean_2.ply` of ScanNet, or `<room>/` of S3DIS.
    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: of another kind, damaged, or without colours.
    """
    scene = _read(path)
    if scene.colours is None:
        raise ValueError(
            f"{path} has no colours, from which the network was trained to tell classes; expected red, green and blue "
            "of every point: scan it with colours"
        )
    return scene


def _read(path: Path) -> Scene:
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {path}; {EXPECTED}")
    if path.is_dir():
        path = path.resolve()  # the files of both sets are called as their folder
        if (path / f"{path.name}_vh_clean_2.ply").is_file():
            return read_scan(path, align=False)
        if (path / ANNOTATIONS).is_dir() or any(path.glob("*.txt")):
            return read_room(path)
        raise ValueError(f"{path} is no room: neither {path.name}_vh_clean_2.ply nor {ANNOTATIONS}/; {EXPECTED}")
    if path.suffix.lower() == ".txt":
        rows = read_coloured_points(path)
        return Scene(path.stem, to_float32(rows.points), rows.colours, notes=rows.notes)
    if path.suffix.lower() != ".ply":
        raise ValueError(f"{path}: not read as a room; {EXPECTED}")
    ply = open_ply(path)
    return Scene(path.stem, points_of(ply, path), colours_of(ply, path))
