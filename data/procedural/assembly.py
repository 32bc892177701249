"""Assembly of solids into one labelled, coloured triangle mesh."""

from typing import NamedTuple

import numpy as np
import trimesh

from data.procedural import palette
from data.procedural.solids import Solid, concatenate
from datasets.labels import SHAPENET_PART, PartCategory

CATEGORIES: dict[str, PartCategory] = {category.name: category for category in SHAPENET_PART}


class LabelledMesh(NamedTuple):
    """One shape. part_label holds ShapeNetPart's global labels, 0..49; words, what its family picked by name."""

    category: str
    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64
    part_label: np.ndarray  # (F,) uint8
    color: np.ndarray  # (V, 3) uint8
    words: tuple[str, ...] = ()

    def to_trimesh(self) -> trimesh.Trimesh:
        """Convert to a mesh with vertex colours; faces keep their order, so part_label still applies."""
        return trimesh.Trimesh(self.vertices, self.faces, vertex_colors=self.color, process=False)


class Assembly:
    """Collects solids under part names of one category; front is -z, up is y, units are free."""

    def __init__(self, category: str):
        self.category = CATEGORIES[category]
        self._pieces: list[tuple[int, Solid, palette.Color]] = []

    def add(self, part: str, *solids: Solid, color: palette.Color) -> None:
        """Add solids as (more of) a part; a part name the category lacks is a ValueError."""
        label = self.category.first_part + self.category.parts.index(part)
        self._pieces.extend((label, solid, color) for solid in solids)

    def add_pair(self, part: str, *solids: Solid, color: palette.Color) -> None:
        """Add solids and their mirror images across x = 0."""
        self.add(part, *solids, *(solid.mirrored() for solid in solids), color=color)

    @property
    def pieces(self) -> list[tuple[Solid, palette.Color]]:
        """The coloured solids in the units of the builder, without their parts."""
        return [(solid, color) for _, solid, color in self._pieces]

    def finish(self, rng: np.random.Generator, *, stretch: np.ndarray) -> LabelledMesh:
        """Build the mesh, stretched along the axes by (3,) factors, then brought to box centre 0 and diagonal 1."""
        whole = concatenate([solid for _, solid, _ in self._pieces]).scaled(*stretch)
        low, high = whole.vertices.min(axis=0), whole.vertices.max(axis=0)
        vertices = (whole.vertices - (low + high) / 2) / np.linalg.norm(high - low)
        labels = [np.full(len(solid.faces), label, np.uint8) for label, solid, _ in self._pieces]
        colors = [palette.mottled(solid.vertices, color, rng) for _, solid, color in self._pieces]
        return LabelledMesh(self.category.name, vertices, whole.faces, np.concatenate(labels), np.concatenate(colors))
