"""What colour a mesh has where a ray hits it: texture, vertex colours, face colours, or neutral grey."""

import numpy as np
import trimesh

GREY = 0.7


class Appearance:
    """Looks up the unlit colour of surface points.

    Alpha in textures and colours is ignored: surfaces are opaque, so that depth and visibility mean one thing.
    """

    def __init__(self, mesh: trimesh.Trimesh) -> None:
        self.faces = np.asarray(mesh.faces)
        self.corner_values: np.ndarray | None = None  # (V, C): rgb per vertex, or uv where there is a texture
        self.face_colours: np.ndarray | None = None  # (F, 3)
        self.texture: np.ndarray | None = None  # (h, w, 3)
        self.uniform = np.full(3, GREY, dtype=np.float32)
        kind = mesh.visual.kind
        if kind == "texture":
            self._read_material(mesh.visual)
        elif kind == "vertex":
            self.corner_values = np.asarray(mesh.visual.vertex_colors)[:, :3].astype(np.float32) / 255
        elif kind == "face":
            self.face_colours = np.asarray(mesh.visual.face_colors)[:, :3].astype(np.float32) / 255

    def _read_material(self, visual: trimesh.visual.TextureVisuals) -> None:
        material = visual.material
        image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        colour = getattr(material, "baseColorFactor", None)
        if image is None:
            colour = material.main_color
        if colour is not None:
            self.uniform = np.asarray(colour)[:3].astype(np.float32) / 255
        if image is not None and visual.uv is not None:
            if colour is None:
                self.uniform = np.ones(3, dtype=np.float32)
            self.texture = np.asarray(image.convert("RGB")).astype(np.float32) / 255
            self.corner_values = np.asarray(visual.uv, dtype=np.float32)[:, :2]

    @property
    def needs_barycentrics(self) -> bool:
        """Whether the colour varies within a face."""
        return self.corner_values is not None

    def colour(self, face_index: np.ndarray, barycentrics: np.ndarray | None) -> np.ndarray:
        """Unlit colours in [0, 1].

        Args:
            face_index: (M,) faces hit.
            barycentrics: (M, 3) weights of the three corners; may be None unless `needs_barycentrics`.
        Returns:
            (M, 3) float32.
        """
        if self.face_colours is not None:
            return self.face_colours[face_index]
        if self.corner_values is None:
            return np.broadcast_to(self.uniform, (len(face_index), 3))
        value = np.einsum("mk,mkc->mc", barycentrics, self.corner_values[self.faces[face_index]])
        return value if self.texture is None else self.uniform * self._sample_texture(value)

    def _sample_texture(self, uv: np.ndarray) -> np.ndarray:
        """Bilinear lookup that repeats outside [0, 1); v points up, image rows down. Shape: (M, 2) -> (M, 3)."""
        height, width = self.texture.shape[:2]
        column = uv[:, 0] * width - 0.5
        row = (1 - uv[:, 1]) * height - 0.5
        left, top = np.floor(column), np.floor(row)
        right_share, bottom_share = (column - left)[:, None], (row - top)[:, None]
        left, top = left.astype(np.int64) % width, top.astype(np.int64) % height
        right, bottom = (left + 1) % width, (top + 1) % height
        upper = self.texture[top, left] * (1 - right_share) + self.texture[top, right] * right_share
        lower = self.texture[bottom, left] * (1 - right_share) + self.texture[bottom, right] * right_share
        return upper * (1 - bottom_share) + lower * bottom_share
