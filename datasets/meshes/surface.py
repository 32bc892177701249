"""What the readers of mesh files return: triangles in parts, each part with its look."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh
from PIL import Image

LOOKS = "looks"  # metadata keys of the mesh: a PartLook for each part, in the order of its faces
NOTES = "notes"  # and what of the file was left out, one sentence each


@dataclass(frozen=True)
class Look:
    """The unlit colour of a part: the product of what is given, neutral grey if nothing is.

    Colours are float32 from 0 to 255. `colour` (3,) is of the whole part, `face_colours` (F, 3) and `vertex_colours`
    (V, 3) of its faces and vertices; `texture` is an RGB image laid over the part by `uv` (V, 2), v pointing up; beyond
    it `wraps` says for u and v: repeat, clamp or mirror.
    """

    colour: np.ndarray | None = None
    face_colours: np.ndarray | None = None
    vertex_colours: np.ndarray | None = None
    uv: np.ndarray | None = None
    texture: Image.Image | None = None
    wraps: tuple[str, str] = ("repeat", "repeat")

    @property
    def is_plain(self) -> bool:
        """Whether no colour is given."""
        return all(value is None for name, value in vars(self).items() if name != "wraps")


class Part(NamedTuple):
    """Triangles `faces` (F, 3) int64 over `vertices` (V, 3) float64, in one look."""

    vertices: np.ndarray
    faces: np.ndarray
    look: Look = Look()


class PartLook(NamedTuple):
    """A part of a merged mesh: its look and its `faces` (F, 3), counted from its own first vertex."""

    faces: np.ndarray
    look: Look


@dataclass
class Surface:
    """The parts of a mesh file, and notes on what of the file was left out."""

    parts: list[Part]
    notes: list[str] = field(default_factory=list)

    def to_trimesh(self) -> trimesh.Trimesh:
        """Merge the parts into one mesh, which keeps their looks and the notes in its metadata."""
        first_vertex = np.cumsum([0] + [len(part.vertices) for part in self.parts[:-1]])
        return trimesh.Trimesh(
            vertices=np.concatenate([part.vertices for part in self.parts]),
            faces=np.concatenate([part.faces + first for part, first in zip(self.parts, first_vertex)]),
            process=False,
            metadata={LOOKS: [PartLook(part.faces, part.look) for part in self.parts], NOTES: self.notes},
        )


def check_indices(faces: np.ndarray, num_vertices: int, path: Path) -> None:
    """Raise a ValueError if a face names a vertex that the file does not have."""
    if faces.size and (faces.min() < 0 or faces.max() >= num_vertices):
        raise ValueError(
            f"{path}: faces name vertices {faces.min()}..{faces.max()}, but the file has {num_vertices} (counted from "
            "0): it is damaged, export it again"
        )


def to_bytes(colours: np.ndarray) -> np.ndarray:
    """Convert stored colours to float32 0..255.

    Integers of 8 and 16 bits are fractions of the largest of their type, wider ones are from 0 to 255; others are from
    0 to 1, or to 255 where one exceeds 2.
    """
    colours = np.asarray(colours)
    largest = 255 if colours.size and colours.max() > 2 else 1
    if colours.dtype.kind in "iu":
        largest = np.iinfo(colours.dtype).max if colours.dtype.itemsize < 4 else 255
    return np.clip(colours.astype(np.float32) * np.float32(255 / largest), 0, 255)
