"""Light on a two-sided surface: ambient, a headlight, and a key light over the camera's left shoulder."""

import numpy as np
import trimesh

from data.rendering.cameras import Camera

AMBIENT, HEADLIGHT, KEY = 0.25, 0.45, 0.55
KEY_DIRECTION = np.array([-0.5, -0.75, -0.45])  # towards the light, in camera axes (y down, z forward)


class Lighting:
    """Brightness of the corners of each face as a camera sees them; winding and open surfaces do not matter."""

    def __init__(self, mesh: trimesh.Trimesh) -> None:
        corners = np.asarray(mesh.triangles, dtype=np.float64)
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.linalg.norm(cross, axis=1, keepdims=True)
        self.face_normals = (cross / np.where(length > 0, length, 1)).astype(np.float32)  # (F, 3)
        self.face_offsets = np.einsum("fi,fi->f", self.face_normals, corners[:, 0]).astype(np.float32)

    def corner_brightness(self, camera: Camera) -> np.ndarray:
        """Factor on the colour of each corner of each face.

        Shape: -> (F, 3) float32.
        """
        to_camera = self.face_normals @ camera.position.astype(np.float32) - self.face_offsets
        side = np.where(to_camera < 0, -1, 1).astype(np.float32)  # the side that the camera sees
        rotation = camera.extrinsics[:3, :3].astype(np.float32)
        normals = (self.face_normals * side[:, None]) @ rotation.T  # (F, 3) in camera axes
        key = (KEY_DIRECTION / np.linalg.norm(KEY_DIRECTION)).astype(np.float32)
        light = AMBIENT + HEADLIGHT * np.maximum(-normals[:, 2], 0) + KEY * np.maximum(normals @ key, 0)
        return np.repeat(light[:, None], 3, axis=1)
