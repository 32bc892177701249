"""Lighting of flat two-sided faces: ambient, a headlight, and a key light over the camera's left shoulder."""

from typing import NamedTuple

import numpy as np
import trimesh

from datasets.shapes.cameras import Camera

AMBIENT, HEADLIGHT, KEY = 0.3, 0.45, 0.5
KEY_DIRECTION = np.array([-0.5, -0.75, -0.45]) / np.linalg.norm([-0.5, -0.75, -0.45])  # to the light, camera axes


class Planes(NamedTuple):
    """Planes of the faces, normal . x = offset: `normals` (F, 3) unit length or zero, `offsets` (F,), float64."""

    normals: np.ndarray
    offsets: np.ndarray


def face_planes(mesh: trimesh.Trimesh) -> Planes:
    """Compute the plane of each face; the normal of a face without area is zero."""
    corners = np.asarray(mesh.triangles, dtype=np.float64)  # (F, 3, 3)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(cross, axis=1, keepdims=True)
    normals = cross / np.where(length > 0, length, 1)
    return Planes(normals, np.einsum("fi,fi->f", normals, corners[:, 0]))


def brightness(planes: Planes, camera: Camera, face_index: np.ndarray) -> np.ndarray:
    """Compute the factor on the colour of faces, each lit on the side that the camera sees.

    The lights are distant and move with the camera; values lie between AMBIENT and 1.2 (callers clip the product).

    Shape: (M,) -> (M,) float32.
    """
    normals = planes.normals[face_index]
    is_back = normals @ camera.position < planes.offsets[face_index]
    in_camera = np.where(is_back[:, None], -normals, normals) @ camera.extrinsics[:3, :3].T
    headlight = np.maximum(-in_camera[:, 2], 0)
    key = np.maximum(in_camera @ KEY_DIRECTION, 0)
    return (AMBIENT + HEADLIGHT * headlight + KEY * key).astype(np.float32)
