"""Reading of OFF files, as Geomview's manual describes them."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.meshes.polygons import triangulate
from datasets.meshes.surface import Look, Part, Surface, check_indices, to_bytes
from datasets.text_files import decode_text, parse_triples

_HEADER = re.compile(r"(ST)?(C)?(N)?(4)?(n)?OFF(\s+BINARY)?", re.IGNORECASE)


def read_off(path: Path) -> Surface:
    """Read an OFF file: polygons of any size, colours of vertices or faces, counts on the line of the header or below.

    Raises:
        ValueError: not an OFF file, binary, of other dimensions than 3, cut short, or with a number that is none.
    """
    text = decode_text(path.read_bytes(), path)
    text = re.sub(r"#.*", "", text).strip()
    header = _HEADER.match(text if not text[:1].isdecimal() else "OFF")  # the word is optional
    if header is None:
        raise ValueError(f"{path}: expected the word OFF at its start, found {text[:20]!r}")
    has_uv, has_colours, has_normals, is_4d, is_nd, is_binary = (group is not None for group in header.groups())
    if is_binary or is_4d or is_nd:
        raise ValueError(f"{path}: {header[0]} files are not read, only text in 3 dimensions: save it as plain OFF")
    lines = [line.split() for line in text.removeprefix(header[0]).split("\n") if line.strip()]
    try:
        num_vertices, num_faces = (int(word) for word in lines[0][:2])
    except (IndexError, ValueError) as error:
        raise ValueError(f"{path}: expected the numbers of vertices and faces after OFF") from error
    extra = 3 * has_normals  # columns before the colours
    is_by_line = len(lines) > num_vertices + num_faces and len(lines[0]) <= 3
    if is_by_line and all(len(line) >= 3 for line in lines[1 : num_vertices + 1]):
        vertex_rows, face_rows = lines[1 : num_vertices + 1], lines[num_vertices + 1 :][:num_faces]
    elif has_uv or has_colours or has_normals:
        raise ValueError(_cut_short(path, num_vertices, num_faces))
    else:
        vertex_rows, face_rows = _rows_of_stream([word for line in lines for word in line][3:], num_vertices, num_faces)
        if len(vertex_rows) < num_vertices or len(face_rows) < num_faces:
            raise ValueError(_cut_short(path, num_vertices, num_faces))
    vertices = parse_triples([row[:3] for row in vertex_rows], path, "vertex")
    colours = None
    if has_colours:
        colours = to_bytes(parse_triples([row[3 + extra : 6 + extra] for row in vertex_rows], path, "colour of vertex"))
    return _surface(path, vertices, face_rows, colours)


def _cut_short(path: Path, num_vertices: int, num_faces: int) -> str:
    return f"{path}: announces {num_vertices} vertices and {num_faces} faces and holds fewer: cut short, make it again"


def _rows_of_stream(words: Sequence[str], num_vertices: int, num_faces: int) -> tuple[list[list[str]], list[list[str]]]:
    """Cut words that do not stand one vertex or face to a line into such rows; too few words give too few rows."""
    vertices = [list(words[i : i + 3]) for i in range(0, min(3 * num_vertices, len(words) // 3 * 3), 3)]
    faces, place = [], 3 * num_vertices
    while len(faces) < num_faces and place < len(words) and words[place].isdecimal():
        end = place + 1 + int(words[place])
        if end > len(words):
            break
        faces.append(list(words[place:end]))
        place = end
    return vertices, faces


def _surface(path: Path, vertices: np.ndarray, rows: Sequence[Sequence[str]], colours: np.ndarray | None) -> Surface:
    try:
        counts = np.array([int(row[0]) for row in rows], dtype=np.int64)
        corners = [[int(word) for word in row[1 : count + 1]] for row, count in zip(rows, counts)]
    except ValueError as error:
        raise ValueError(f"{path}: a face is no row of whole numbers ({error}): it is damaged") from error
    short = [number for number, (corner, count) in enumerate(zip(corners, counts)) if len(corner) != count]
    if short:
        raise ValueError(f"{path}: face {short[0]} announces {counts[short[0]]} corners and has fewer: it is damaged")
    flat = np.array([index for corner in corners for index in corner], dtype=np.int64)
    check_indices(flat, len(vertices), path)
    triangles, polygon = triangulate(vertices[flat], counts)
    look = Look(vertex_colours=colours)
    specified = [row[count + 1 : count + 4] for row, count in zip(rows, counts)]
    if colours is None and specified and all(len(words) == 3 for words in specified):
        look = Look(face_colours=to_bytes(parse_triples(specified, path, "colour of face"))[polygon])
    return Surface([Part(vertices, flat[triangles], look)])
