"""Exact ray casting with embreex: pictures, depth, visibility of points."""

from typing import NamedTuple

import numpy as np
import trimesh

from data.rendering.appearance import Appearance
from data.rendering.shading import brightness, face_planes
from datasets.shapes.cameras import Camera, project

try:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

VISIBILITY_TOLERANCE = 1e-5  # of the distance; rays and vertices are float32
SURFACE_TOLERANCE = 1e-4  # of a shape of diagonal 1
_DIRECTIONS = np.array([direction for direction in np.ndindex(3, 3, 3) if direction > (1, 1, 1)]) - 1.0


def require_embreex() -> None:
    """Raise an ImportError with a remedy if embreex does not import on this machine."""
    if IMPORT_ERROR is not None:
        raise ImportError(
            f"rendering needs embreex, which does not import here ({IMPORT_ERROR}). Run: pip install embreex. It has "
            "wheels for Linux and Windows on x86-64 and for macOS 13 or later, none for Linux on aarch64: render on "
            "one of those machines and copy the result"
        ) from IMPORT_ERROR


class Hits(NamedTuple):
    """Pixels whose centre ray hits: `row`, `column`, `face_index` (M,) int, and `depth` (M,) float32 along z."""

    row: np.ndarray
    column: np.ndarray
    face_index: np.ndarray
    depth: np.ndarray


class Raycaster:
    """Casts rays at a mesh. Faces are two-sided, so their winding does not matter."""

    def __init__(self, mesh: trimesh.Trimesh) -> None:
        require_embreex()
        vertices = np.asarray(mesh.vertices, dtype=np.float32)
        faces = np.asarray(mesh.faces, dtype=np.int32)
        used = np.unique(faces)
        self._outline = np.vstack([vertices[used].T, np.ones(len(used))])  # (4, V) homogeneous
        self._appearance = Appearance(mesh)
        self._planes = face_planes(mesh)
        self._table_row = np.zeros(len(faces) + 1, dtype=np.int64)  # scratch of _shade
        self._scene = EmbreeScene(robust=True)  # otherwise 3 rays in a million slip through shared edges
        self._geometry = TriangleMesh(self._scene, vertices, faces)

    def render(self, camera: Camera, *, supersample: int = 2) -> tuple[np.ndarray, np.ndarray]:
        """Render picture and depth of one view.

        Args:
            camera: the view.
            supersample: 1 takes colour and alpha from the centre ray of each pixel; larger values take the mean of
                the centre ray and a grid of supersample x supersample rays.
        Returns:
            rgba (H, W, 4) uint8, colour not premultiplied, all zero where alpha is zero; depth (H, W) float32 along
            the camera's z axis, exact at the pixel centre and never averaged, inf where the centre ray hits nothing.
        """
        if supersample < 1:
            raise ValueError(f"supersample must be at least 1, got {supersample}")
        rgba = np.zeros((*camera.size, 4), dtype=np.uint8)
        depth = np.full(camera.size, np.inf, dtype=np.float32)
        rows, columns = self._frame(camera)
        shape = (len(rows), len(columns))
        if 0 in shape:
            return rgba, depth
        window = np.ix_(rows, columns)

        rays = _pixel_rays(camera, rows, columns)
        hits = self._trace(camera, rays)
        total = self._shade(camera, hits)
        num_samples = 1
        if supersample > 1:
            for steps in _subpixel_steps(camera, supersample):
                total += self._shade(camera, self._trace(camera, rays + steps))
            num_samples += supersample**2
        depth[window] = np.where(hits["primID"] >= 0, hits["tfar"], np.inf).reshape(shape)
        rgba[window] = _resolve(total, num_samples).reshape(*shape, 4)
        return rgba, depth

    def first_hits(self, camera: Camera) -> Hits:
        """Find the first hits of the pixel-centre rays of a view."""
        height, width = camera.size
        hits = self._trace(camera, _pixel_rays(camera, np.arange(height), np.arange(width)))
        index = np.flatnonzero(hits["primID"] >= 0)
        return Hits(*np.divmod(index, width), hits["primID"][index].astype(np.int64), hits["tfar"][index])

    def visible(self, camera: Camera, points: np.ndarray) -> np.ndarray:
        """Test whether each surface point is in the frame and unoccluded, by one ray per point.

        Shape: (N, 3) -> (N,) bool.
        """
        pixels, depth = project(camera, points)
        in_frame = (depth > 0) & ((pixels >= 0) & (pixels < camera.size[::-1])).all(axis=1)
        # The ray parameter is 1 at the point itself, so an earlier first hit occludes the point.
        rays = (np.asarray(points, dtype=np.float64) - camera.position).astype(np.float32)
        return in_frame & (self._trace(camera, rays)["tfar"] >= 1 - VISIBILITY_TOLERANCE)

    def on_surface(self, points: np.ndarray) -> np.ndarray:
        """Test whether each point is within SURFACE_TOLERANCE of the surface along one of 13 lines through it.

        Shape: (N, 3) -> (N,) bool.
        """
        found = np.zeros(len(points), dtype=bool)
        for direction in _DIRECTIONS / np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True) * SURFACE_TOLERANCE:
            starts = (points - direction).astype(np.float32)
            rays = np.broadcast_to((2 * direction).astype(np.float32), starts.shape)
            found |= self._scene.run(starts, rays, output=True)["tfar"] <= 1
        return found

    def _trace(self, camera: Camera, rays: np.ndarray) -> dict[str, np.ndarray]:
        """Trace rays (P, 3) from the camera to first hits: primID (-1: none), tfar, u, v of shape (P,)."""
        origins = np.broadcast_to(camera.position.astype(np.float32), rays.shape)
        return self._scene.run(origins, rays, output=True)

    def _frame(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and columns that can show the mesh: its bounding rectangle, one pixel wider."""
        height, width = camera.size
        in_image = camera.intrinsics @ (camera.extrinsics[:3] @ self._outline)  # (3, V)
        if in_image[2].min() <= 0:  # part of the mesh is beside or behind the camera: no bound
            return np.arange(height), np.arange(width)
        pixels = in_image[:2] / in_image[2]
        low = np.floor(pixels.min(axis=1)).astype(int) - 1
        high = np.ceil(pixels.max(axis=1)).astype(int) + 1
        return np.arange(max(low[1], 0), min(high[1], height)), np.arange(max(low[0], 0), min(high[0], width))

    def _shade(self, camera: Camera, hits: dict[str, np.ndarray]) -> np.ndarray:
        """Compute lit colour in [0, 1] and coverage 1 of rays that hit, zeros for the others: (P, 4) float32."""
        face_index = hits["primID"]
        is_seen = np.zeros(len(self._table_row), dtype=bool)
        is_seen[face_index] = True
        seen = np.flatnonzero(is_seen[:-1])  # shade only these: few faces of a large mesh are seen
        table = np.zeros((len(seen) + 1, 4), dtype=np.float32)
        table[:-1, :3] = brightness(self._planes, camera, seen)[:, None] * self._appearance.of_faces(seen)
        table[:-1, 3] = 1
        self._table_row[seen] = np.arange(len(seen))
        self._table_row[-1] = len(seen)  # a miss is face -1: the last row, which stays zero
        colour = table[self._table_row[face_index]]
        if self._appearance.varies_within_faces:
            hit = np.flatnonzero(face_index >= 0)
            colour[hit, :3] *= self._appearance.of_points(face_index[hit], hits["u"][hit], hits["v"][hit])
        return np.minimum(colour, 1, out=colour)


def _pixel_rays(camera: Camera, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Compute world directions through pixel centres, scaled so that the ray parameter is the depth along z.

    Shape: (R,), (C,) -> (R * C, 3) float32.
    """
    to_world = _pixel_to_world(camera)
    by_row = (rows[:, None] + 0.5) * to_world[:, 1] + to_world[:, 2]
    by_column = (columns[:, None] + 0.5) * to_world[:, 0]
    rays = by_row.astype(np.float32)[:, None] + by_column.astype(np.float32)  # (R, C, 3)
    return rays.reshape(-1, 3)


def _subpixel_steps(camera: Camera, supersample: int) -> np.ndarray:
    """Compute the offsets from a pixel-centre ray to a grid of rays within the pixel. Shape: -> (supersample^2, 3)."""
    to_world = _pixel_to_world(camera)
    offsets = (np.arange(supersample) + 0.5) / supersample - 0.5
    steps = offsets[:, None, None] * to_world[:, 1] + offsets[:, None] * to_world[:, 0]
    return steps.reshape(-1, 3).astype(np.float32)


def _pixel_to_world(camera: Camera) -> np.ndarray:
    return camera.extrinsics[:3, :3].T @ np.linalg.inv(camera.intrinsics)


def _resolve(total: np.ndarray, num_samples: int) -> np.ndarray:
    """Convert sums of colour and coverage (P, 4) to RGBA uint8; the colour averages the samples that hit."""
    coverage = total[:, 3:]
    rgba = np.empty(total.shape, dtype=np.uint8)
    rgba[:, :3] = total[:, :3] * (255 / np.maximum(coverage, 1)) + 0.5
    rgba[:, 3:] = coverage * (255 / num_samples) + 0.5
    return rgba
