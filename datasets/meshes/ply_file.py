"""Reading of PLY files, binary and text, by the package plyfile."""

import io
import re
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement, PlyElementParseError

from datasets.meshes.polygons import triangulate
from datasets.meshes.surface import Look, Part, Surface, check_indices, to_bytes

# a line of the header that begins with no keyword, which plyfile refuses and other writers take for a comment
_FOREIGN_LINE = re.compile(rb"([\r\n])(?!(?:format|element|property|comment|obj_info|end_header)\b)(?=[^\r\n])")
_LISTS = ("vertex_indices", "vertex_index")  # both names of the corners of a face are in use


def open_ply(path: Path) -> PlyData:
    """Parse a PLY file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a PLY file, damaged, or cut short.
    """
    header = _read_header(path)
    plain = _FOREIGN_LINE.sub(rb"\1comment ", re.sub(rb"[\x80-\xff]", b"?", header))
    source = str(path) if plain == header else io.BytesIO(plain + path.read_bytes()[len(header) :])
    try:
        try:
            lists = {"face": {name: 3 for name in _LISTS if name.encode() in header}}
            return PlyData.read(source, mmap=False if isinstance(source, io.BytesIO) else "c", known_list_len=lists)
        except PlyElementParseError:  # not triangles alone
            if isinstance(source, io.BytesIO):
                source.seek(0)
            return PlyData.read(source, mmap=False)
    except Exception as error:  # a damaged header makes the parser raise KeyError, UnicodeDecodeError ...
        raise ValueError(
            f"{path} is not a readable PLY file ({type(error).__name__}: {error}); make it again or delete it"
        ) from error


def _read_header(path: Path) -> bytes:
    """Read a file up to the end of its header's last line; nothing where it has no such line in its first MiB."""
    start = b""
    with path.open("rb") as file:
        while len(start) < 2**20 and (more := file.read(2**12)):
            start += more
            end = re.search(rb"end_header(\r?\n|\r)", start)
            if end:
                return start[: end.end()]
    return b""


def has_faces(path: Path) -> bool:
    """Return whether the header of a PLY file announces faces or triangle strips."""
    return re.search(rb"[\r\n]\s*element\s+(face|tristrips)\s+0*[1-9]", _read_header(path)) is not None


def positions(ply: PlyData, path: Path) -> np.ndarray:
    """Return the vertices (N, 3) in the type of the file; N is 0 where it has none.

    Raises:
        ValueError: its vertices lack one of x, y and z.
    """
    if "vertex" not in ply:
        return np.empty((0, 3), dtype=np.float32)
    vertex = ply["vertex"]
    missing = [name for name in "xyz" if name not in vertex]
    if missing:
        raise ValueError(f"{path}: its vertices have no {', '.join(missing)}; expected x, y and z")
    return np.stack([vertex[name] for name in "xyz"], axis=1)


def read_ply(path: Path) -> Surface:
    """Read the faces of a PLY file, polygons of any size or triangle strips, with colours of vertices or faces.

    Raises as `open_ply`, and a ValueError if a face names a vertex that the file does not have.
    """
    ply = open_ply(path)
    vertices = positions(ply, path).astype(np.float64)
    notes = []
    triangles, polygon = np.empty((0, 3), dtype=np.int64), np.empty(0, dtype=np.int64)
    face_colours = None
    if "face" in ply and ply["face"].count:
        flat, counts = _corners(ply["face"], path)
        check_indices(flat, len(vertices), path)
        rows, polygon = triangulate(vertices[flat], counts)
        triangles, face_colours = flat[rows], element_colours(ply["face"])
    if "tristrips" in ply and ply["tristrips"].count:
        strips = np.concatenate([np.append(strip, -1) for strip in ply["tristrips"]["vertex_indices"]])
        unrolled = unroll_strips(strips.astype(np.int64))
        check_indices(unrolled, len(vertices), path)
        triangles, face_colours = np.concatenate([triangles, unrolled]), None
    textures = [comment.split(maxsplit=1)[1] for comment in ply.comments if comment.startswith("TextureFile ")]
    if textures:
        notes.append(f"texture {textures[0]} left out: textures of PLY files are not read")
    vertex_colours = element_colours(ply["vertex"]) if "vertex" in ply else None
    if vertex_colours is None and face_colours is not None:
        look = Look(face_colours=face_colours[polygon])
    else:
        look = Look(vertex_colours=vertex_colours)
    return Surface([Part(vertices, triangles, look)], notes)


def unroll_strips(strip: np.ndarray) -> np.ndarray:
    """Turn triangle strips, separated by -1, into triangles of one winding. Shape: (N,) -> (F, 3)."""
    stops = np.flatnonzero(np.append(strip, -1) < 0)
    place = np.arange(len(strip)) - np.concatenate([[0], stops[:-1] + 1]).repeat(np.diff([-1, *stops]))[: len(strip)]
    rows = np.stack([strip[i : len(strip) - 2 + i] for i in range(3)], axis=1)
    is_odd = place[: len(rows)] % 2 == 1
    rows[is_odd] = rows[is_odd][:, [1, 0, 2]]
    return rows[(rows >= 0).all(axis=1)]


def _corners(face: PlyElement, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of all faces, one after another, and the number of each face's."""
    names = [name for name in _LISTS if name in face]
    if not names:
        raise ValueError(f"{path}: its faces have no list {' or '.join(_LISTS)}")
    lists = face[names[0]]
    if lists.dtype == object:
        return np.concatenate(list(lists)).astype(np.int64), np.array([len(corners) for corners in lists])
    return lists.astype(np.int64).ravel(), np.full(len(lists), lists.shape[1])


def element_colours(element: PlyElement) -> np.ndarray | None:
    """Return the colours of vertices or faces, (N, 3) float32 from 0 to 255; None where they have none."""
    for names in (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue")):
        if all(name in element for name in names):
            return to_bytes(np.stack([element[name] for name in names], axis=1))
    return None
