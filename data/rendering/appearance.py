"""Colour of a mesh where a ray hits it: texture, vertex colours, face colours, or neutral grey.

Alpha in colours and textures is ignored: surfaces are opaque, so that depth and visibility are well defined.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import trimesh
from PIL import Image

from datasets.meshes.surface import LOOKS, Look, PartLook

GREY = 0.7
MAX_TEXTURE_PX = 1024  # detail finer than a view's pixels would alias


class Pattern(Protocol):
    """A colour that varies within faces. Maps (M,) faces, (M, 3) corner weights to (M, 3) in [0, 1]."""

    def __call__(self, face_index: np.ndarray, weights: np.ndarray) -> np.ndarray: ...


class VertexColours(NamedTuple):
    """Colours (V, 3) float32 0..255 of the vertices, interpolated over `faces` (F, 3)."""

    faces: np.ndarray
    colours: np.ndarray

    def __call__(self, face_index: np.ndarray, weights: np.ndarray) -> np.ndarray:
        corners = self.colours[self.faces[face_index]]  # (M, 3, 3)
        return np.einsum("mk,mkc->mc", weights, corners) / 255


class Texture(NamedTuple):
    """Image (h, w, 3) uint8 laid over `faces` (F, 3) by `uv` (V, 2), bilinear; v points up, `wraps` as in Look."""

    faces: np.ndarray
    uv: np.ndarray
    image: np.ndarray
    wraps: tuple[str, str] = ("repeat", "repeat")

    def __call__(self, face_index: np.ndarray, weights: np.ndarray) -> np.ndarray:
        height, width = self.image.shape[:2]
        uv = np.einsum("mk,mkc->mc", weights, self.uv[self.faces[face_index]])
        column, row = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
        left, top = np.floor(column), np.floor(row)
        to_right, to_bottom = (column - left)[:, None], (row - top)[:, None]
        left, right = (_wrap(left.astype(np.int64) + i, width, self.wraps[0]) for i in (0, 1))
        top, bottom = (_wrap(top.astype(np.int64) + i, height, self.wraps[1]) for i in (0, 1))
        upper = self.image[top, left] * (1 - to_right) + self.image[top, right] * to_right
        lower = self.image[bottom, left] * (1 - to_right) + self.image[bottom, right] * to_right
        return (upper * (1 - to_bottom) + lower * to_bottom) / 255


def _wrap(place: np.ndarray, size: int, how: str) -> np.ndarray:
    """Bring pixel numbers into 0 .. size - 1."""
    if how == "clamp":
        return np.clip(place, 0, size - 1)
    if how == "mirror":
        place = place % (2 * size)
        return np.minimum(place, 2 * size - 1 - place)
    return place % size


class Appearance:
    """The unlit colour of a mesh: `of_faces`, times `of_points` where `varies_within_faces`."""

    def __init__(self, mesh: trimesh.Trimesh) -> None:
        parts = mesh.metadata.get(LOOKS) or [PartLook(np.asarray(mesh.faces), _own_look(mesh))]
        self._stops = np.cumsum([len(part.faces) for part in parts])  # part p holds the faces before stop p
        if self._stops[-1] != len(mesh.faces):
            raise ValueError(f"mesh has {len(mesh.faces)} faces, the parts it was merged from {self._stops[-1]}")
        self._patterns = [_patterns(part) for part in parts]
        self._face_colours = np.concatenate([_face_colours(part) for part in parts])  # (F, 3)

    @property
    def varies_within_faces(self) -> bool:
        """Whether `of_points` can differ from 1."""
        return any(self._patterns)

    def of_faces(self, face_index: np.ndarray) -> np.ndarray:
        """Return the colour in [0, 1] of whole faces. Shape: (M,) -> (M, 3) float32."""
        return self._face_colours[face_index]

    def of_points(self, face_index: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Compute the factor in [0, 1] of vertex colours and textures at points within faces.

        Args:
            face_index: (M,).
            u: (M,) barycentric weight of the face's second corner.
            v: (M,) barycentric weight of the third; the first has the rest.
        Returns:
            (M, 3) float32.
        """
        factor = np.ones((len(face_index), 3), dtype=np.float32)
        weights = np.stack([1 - u - v, u, v], axis=1)
        part_index = np.searchsorted(self._stops, face_index, side="right")
        for part in np.unique(part_index):
            member = np.flatnonzero(part_index == part)
            first_face = self._stops[part - 1] if part else 0
            for pattern in self._patterns[part]:
                factor[member] *= pattern(face_index[member] - first_face, weights[member])
        return factor


def _own_look(mesh: trimesh.Trimesh) -> Look:
    """Return the look of a mesh that is not of a file: its vertex colours, if any."""
    if mesh.visual.kind != "vertex":
        return Look()
    return Look(vertex_colours=np.asarray(mesh.visual.vertex_colors)[:, :3].astype(np.float32))


def _patterns(part: PartLook) -> Sequence[Pattern]:
    faces, look = part
    patterns: list[Pattern] = []
    if look.vertex_colours is not None:
        patterns.append(VertexColours(faces, look.vertex_colours))
    if look.texture is not None:
        small = look.texture.copy()
        small.thumbnail((MAX_TEXTURE_PX, MAX_TEXTURE_PX), Image.Resampling.BOX)
        patterns.append(Texture(faces, np.nan_to_num(look.uv).astype(np.float32), np.asarray(small), look.wraps))
    return patterns


def _face_colours(part: PartLook) -> np.ndarray:
    """Return the colours of whole faces, white or a tint where a pattern multiplies them. Shape: -> (F, 3) float32."""
    faces, look = part
    colours = np.ones((len(faces), 3), dtype=np.float32)
    if look.is_plain:
        return colours * np.float32(GREY)
    for factor in (look.colour, look.face_colours):
        if factor is not None:
            colours = colours * factor / 255
    return colours
