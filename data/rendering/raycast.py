"""Exact ray casting with embreex: pictures, depth, visibility of points."""

from typing import NamedTuple

import numpy as np
import trimesh

from data.rendering.appearance import Appearance
from data.rendering.cameras import Camera
from data.rendering.shading import Lighting

try:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene
except ImportError as error:
    raise ImportError(
        f"rendering needs embreex, which does not import here ({error}). It has wheels for x86-64 Linux and Windows "
        "and for macOS, none for aarch64 Linux; run: pip install embreex, or render on one of those machines"
    ) from error

VISIBILITY_TOLERANCE = 1e-5  # of the distance; rays and vertices are float32


class Hits(NamedTuple):
    """First hits of the pixel-centre rays: `row`, `column`, `face_index` (M,) int, `depth` (M,) float32 along z."""

    row: np.ndarray
    column: np.ndarray
    face_index: np.ndarray
    depth: np.ndarray


class Raycaster:
    """A mesh, prepared for rays. Faces have two sides and their winding does not matter."""

    def __init__(self, mesh: trimesh.Trimesh) -> None:
        self.vertices = np.asarray(mesh.vertices, dtype=np.float32)
        self.faces = np.asarray(mesh.faces, dtype=np.int32)
        self.corners = self.vertices[self.faces.ravel()].reshape(-1, 3)  # only vertices that faces use
        self.appearance = Appearance(mesh)
        self.lighting = Lighting(mesh)
        self._scene = EmbreeScene(robust=True)  # no light leaks through shared edges
        self._geometry = TriangleMesh(self._scene, self.vertices, self.faces)

    def render(self, camera: Camera, *, supersample: int = 2) -> tuple[np.ndarray, np.ndarray]:
        """Picture and depth of one view.

        Args:
            camera: the view.
            supersample: colour and alpha are means over this many rays squared per pixel, and the centre ray.
        Returns:
            rgba (H, W, 4) uint8, colour not premultiplied, all zero where alpha is zero; depth (H, W) float32 along
            the camera's z axis, exact at the pixel centre and never averaged, inf where the centre ray hits nothing.
        """
        if supersample < 1:
            raise ValueError(f"supersample must be at least 1, got {supersample}")
        height, width = camera.size
        rgba = np.zeros((height, width, 4), dtype=np.uint8)
        depth = np.full((height, width), np.inf, dtype=np.float32)
        top, bottom, left, right = self._frame(camera)
        if top >= bottom or left >= right:
            return rgba, depth
        shape = (bottom - top, right - left)
        total = np.zeros((*shape, 4), dtype=np.float32)
        brightness = self.lighting.corner_brightness(camera)
        rows, columns = np.arange(top, bottom), np.arange(left, right)

        rays = _ray_directions(camera, rows + 0.5, columns + 0.5)
        colour, centre_depth = self._shade(camera, rays, brightness)
        depth[top:bottom, left:right] = centre_depth.reshape(shape)
        total += colour.reshape(*shape, 4)
        num_samples = 1
        if supersample > 1:
            offsets = (np.arange(supersample) + 0.5) / supersample
            rays = _ray_directions(camera, (rows[:, None] + offsets).ravel(), (columns[:, None] + offsets).ravel())
            colour, _ = self._shade(camera, rays, brightness)
            total += colour.reshape(shape[0], supersample, shape[1], supersample, 4).sum(axis=(1, 3))
            num_samples += supersample**2
        rgba[top:bottom, left:right] = _resolve(total, num_samples)
        return rgba, depth

    def first_hits(self, camera: Camera) -> Hits:
        """What the pixel-centre rays of a view hit first."""
        height, width = camera.size
        rays = _ray_directions(camera, np.arange(height) + 0.5, np.arange(width) + 0.5)
        result = self._scene.run(_origins(camera, len(rays)), rays, output=True)
        hit = np.flatnonzero(result["primID"] >= 0)
        row, column = np.divmod(hit, width)
        return Hits(row, column, result["primID"][hit].astype(np.int64), result["tfar"][hit])

    def visible(self, camera: Camera, points: np.ndarray) -> np.ndarray:
        """Whether the camera sees each surface point: inside the frame and nothing in between (one ray per point).

        Shape: (N, 3) -> (N,) bool.
        """
        origin = camera.position
        offset = np.asarray(points, dtype=np.float64) - origin
        # A unit step of the ray parameter is the whole way to the point, so the first hit lies at 1 if it is seen.
        first = self._scene.run(_origins(camera, len(offset)), offset.astype(np.float32), query="DISTANCE")
        in_camera = np.asarray(points, dtype=np.float64) @ camera.extrinsics[:3, :3].T + camera.extrinsics[:3, 3]
        in_front = in_camera[:, 2] > 0
        pixels = (in_camera @ camera.intrinsics.T)[:, :2] / np.where(in_front, in_camera[:, 2], 1)[:, None]
        in_frame = ((pixels >= 0) & (pixels < camera.size[::-1])).all(axis=1)
        return in_front & in_frame & (first >= 1 - VISIBILITY_TOLERANCE)

    def _frame(self, camera: Camera) -> tuple[int, int, int, int]:
        """Half-open pixel ranges (top, bottom, left, right) outside which no ray can hit."""
        height, width = camera.size
        rotation = camera.extrinsics[:3, :3].astype(np.float32)
        in_camera = self.corners @ rotation.T + camera.extrinsics[:3, 3].astype(np.float32)
        depth = in_camera[:, 2:]
        if depth.min() <= 0:  # the camera is inside the shape's depth range: no bound
            return 0, height, 0, width
        pixels = (in_camera @ camera.intrinsics.T.astype(np.float32))[:, :2] / depth
        low, high = pixels.min(axis=0) - 1, pixels.max(axis=0) + 1
        left, top = np.clip(np.floor(low), 0, [width, height]).astype(int)
        right, bottom = np.clip(np.ceil(high), 0, [width, height]).astype(int)
        return top, bottom, left, right

    def _shade(self, camera: Camera, rays: np.ndarray, brightness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Colour with coverage (P, 4) in [0, 1], and depth (P,), of each ray."""
        result = self._scene.run(_origins(camera, len(rays)), rays, output=True)
        face_index = result["primID"]
        hit = np.flatnonzero(face_index >= 0)
        face_index = face_index[hit]
        u, v = result["u"][hit], result["v"][hit]
        barycentrics = np.stack([1 - u - v, u, v], axis=1)
        light = np.einsum("mk,mk->m", barycentrics, brightness[face_index])
        colour = np.zeros((len(rays), 4), dtype=np.float32)
        colour[hit, :3] = np.minimum(self.appearance.colour(face_index, barycentrics) * light[:, None], 1)
        colour[hit, 3] = 1
        depth = np.full(len(rays), np.inf, dtype=np.float32)
        depth[hit] = result["tfar"][hit]
        return colour, depth


def _origins(camera: Camera, num_rays: int) -> np.ndarray:
    return np.broadcast_to(camera.position.astype(np.float32), (num_rays, 3))


def _ray_directions(camera: Camera, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """World directions through image positions, row by row, scaled so that the ray parameter is the depth along z.

    Shape: (R,), (C,) -> (R * C, 3) float32.
    """
    to_world = camera.extrinsics[:3, :3].T @ np.linalg.inv(camera.intrinsics)
    by_row = rows[:, None] * to_world[:, 1] + to_world[:, 2]
    by_column = columns[:, None] * to_world[:, 0]
    rays = by_row.astype(np.float32)[:, None] + by_column.astype(np.float32)  # (R, C, 3)
    return rays.reshape(-1, 3)


def _resolve(total: np.ndarray, num_samples: int) -> np.ndarray:
    """Sums of colour and coverage (H, W, 4) -> RGBA uint8; the colour is the mean over the samples that hit."""
    covered = np.maximum(total[..., 3:], 1)
    rgb = np.rint(total[..., :3] / covered * 255)
    alpha = np.rint(total[..., 3:] * (255 / num_samples))
    return np.concatenate([rgb, alpha], axis=-1).astype(np.uint8)
