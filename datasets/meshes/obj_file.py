"""Reading of the polygons of Wavefront OBJ files."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.meshes.mtl_file import Material, read_materials, without_comment
from datasets.meshes.polygons import triangulate
from datasets.meshes.surface import Look, Part, Surface, to_bytes
from datasets.text_files import decode_text, parse_triples

_NONE = -1  # in place of the index of texture coordinates


class _Statements(NamedTuple):
    """What the lines of a file say: rows of words, and for each face its corners, material and line."""

    vertices: list[list[str]]
    coordinates: list[list[str]]
    faces: list[list[tuple[int, int]]]  # (vertex, texture coordinates) of each corner, from 0
    materials: list[str]
    lines: list[int]
    libraries: list[str]
    notes: Counter


def read_obj(path: Path) -> Surface:
    """Read the polygons of an OBJ file with the colours of its vertices and materials.

    Texture coordinates that are damaged or missing cost the texture of their corner, never the mesh; normals, lines,
    points and free-form surfaces are not read.

    Raises:
        ValueError: a vertex is no row of numbers, or a face names vertex 0 or one that the file does not have.
    """
    said = _read_statements(decode_text(path.read_bytes(), path), path)
    vertices, colours = _vertices(said.vertices, path)
    last = max((vertex for face in said.faces for vertex, _ in face), default=_NONE)
    if last >= len(vertices):
        number = next(n for face, n in zip(said.faces, said.lines) if any(vertex == last for vertex, _ in face))
        raise ValueError(f"{path}: line {number}: a face names vertex {last + 1}, but the file has {len(vertices)}")
    materials, notes = read_materials(said.libraries, path.parent)
    counts = np.array([len(face) for face in said.faces], dtype=np.int64)
    corners = np.array([corner for face in said.faces for corner in face], dtype=np.int64).reshape(-1, 2)
    uv, damaged = _texture_coordinates(said.coordinates)
    is_missing = corners[:, 1] >= len(uv)
    said.notes["texture coordinates that are no numbers or not in the file"] += damaged + int(is_missing.sum())
    corners[is_missing, 1] = _NONE
    triangles, polygon = triangulate(vertices[corners[:, 0]], counts)
    names = {name: number for number, name in enumerate(dict.fromkeys(said.materials))}
    material_of = np.array([names[name] for name in said.materials], dtype=np.int64)[polygon]
    parts = []
    for name, number in names.items():
        rows = corners[triangles[material_of == number]]  # (F, 3, 2)
        material = materials.get(name) or materials.get(without_comment(name))
        if name and material is None and materials:
            notes.append(f"material {name} is in no material file: its faces are left grey")
        if material and material.texture is not None and len(rows) and not (rows[..., 1] != _NONE).any():
            notes.append(f"texture of material {name}: left out, its faces have no texture coordinates")
        parts.append(_part(vertices, colours, uv, rows, material or Material()))
    notes += [f"{count} {what}: left out" for what, count in said.notes.items() if count]
    return Surface(parts, notes)


def _read_statements(text: str, path: Path) -> _Statements:
    said = _Statements([], [], [], [], [], [], Counter())
    material = ""
    for number, line in enumerate(_logical_lines(text), start=1):
        words = without_comment(line).split()
        if not words:
            continue
        key = words.pop(0)
        if key == "v":
            said.vertices.append(words)
        elif key == "vt":
            said.coordinates.append(words)
        elif key in ("f", "fo"):
            if len(words) < 3:
                said.notes["faces of fewer than 3 corners"] += 1
                continue
            said.faces.append([_corner(word, said, number, path) for word in words])
            said.materials.append(material)
            said.lines.append(number)
        elif key == "usemtl":
            material = line.split(maxsplit=1)[1].strip() if words else ""
        elif key == "mtllib" and words:
            said.libraries.append(line.split(maxsplit=1)[1].strip())
        elif key in ("surf", "curv", "curv2", "bzp", "bsp"):
            said.notes[f"free-form elements ({key})"] += 1
    return said


def _logical_lines(text: str) -> list[str]:
    r"""Split into lines; one that ends in \ joins the next, and an empty line in its place keeps the count right."""
    lines, held = [], ""
    for line in text.split("\n"):
        held += line
        if line.rstrip().endswith("\\") and not line.lstrip().startswith("#"):
            held = held.rstrip()[:-1] + " "
            lines.append("")
        else:
            lines.append(held)
            held = ""
    return [*lines, held]


def _corner(word: str, said: _Statements, line: int, path: Path) -> tuple[int, int]:
    """Resolve `v`, `v/t`, `v//n` or `v/t/n`; negative indices count back from what the file has said so far."""
    vertex, *rest = word.split("/")
    try:
        index = int(vertex)
    except ValueError as error:
        raise ValueError(f"{path}: line {line}: expected corners such as 1, 1/2 or 1//3, found {word!r}") from error
    place = index - 1 if index > 0 else len(said.vertices) + index
    if index == 0 or place < 0:
        known = "OBJ counts from 1" if index == 0 else f"the file has {len(said.vertices)} up to there"
        raise ValueError(f"{path}: line {line}: a face names vertex {index}; {known}. Export the file again")
    if not rest or not rest[0]:
        return place, _NONE
    try:
        index = int(rest[0])
    except ValueError:
        index = 0
    coordinates = index - 1 if index > 0 else len(said.coordinates) + index
    if index == 0 or coordinates < 0:
        said.notes["texture coordinates that are no numbers or not in the file"] += 1
        return place, _NONE
    return place, coordinates


def _vertices(rows: list[list[str]], path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Convert vertices `x y z [w]` or `x y z r g b` to (V, 3) float64, and their colours (V, 3) 0..255 if all have."""
    vertices = parse_triples([row[:3] for row in rows], path, "vertex")
    if not rows or any(len(row) < 6 for row in rows):
        return vertices, None
    colours = parse_triples([row[3:6] for row in rows], path, "colour of vertex")
    return vertices, to_bytes(colours)


def _texture_coordinates(rows: list[list[str]]) -> tuple[np.ndarray, int]:
    """Convert `vt` rows to (T, 2) float64, 0 where a row is damaged, and count those."""
    uv = np.zeros((len(rows), 2))
    damaged = 0
    for number, row in enumerate(rows):
        try:
            uv[number, : min(len(row), 2)] = [float(word) for word in row[:2]]
        except ValueError:
            damaged += 1
    return uv, damaged + sum(not row for row in rows)


def _part(
    vertices: np.ndarray, colours: np.ndarray | None, uv: np.ndarray, rows: np.ndarray, material: Material
) -> Part:
    """Build the part of one material from its triangles `rows` (F, 3, 2): vertex and texture coordinates."""
    if material.texture is None or not (rows[..., 1] != _NONE).any():
        # under a texture the diffuse colour is often meaningless, so it counts only without one
        return Part(vertices, rows[..., 0], Look(material.colour, vertex_colours=colours))
    flat = rows.reshape(-1, 2)
    own_uv = np.where(flat[:, 1:] == _NONE, 0, uv[flat[:, 1]]) * material.scale + material.offset
    own_colours = None if colours is None else colours[flat[:, 0]]
    look = Look(vertex_colours=own_colours, uv=own_uv, texture=material.texture, wraps=material.wraps)
    return Part(vertices[flat[:, 0]], np.arange(len(flat)).reshape(-1, 3), look)
