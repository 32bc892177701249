"""Reading, checking, normalising and sampling of triangle meshes."""

from pathlib import Path

import numpy as np
import trimesh

from datasets.meshes.gltf_file import read_gltf
from datasets.meshes.obj_file import read_obj
from datasets.meshes.off_file import read_off
from datasets.meshes.ply_file import read_ply
from datasets.meshes.stl_file import read_stl
from datasets.precision import to_float32

_READERS = {
    ".glb": read_gltf,
    ".gltf": read_gltf,
    ".obj": read_obj,
    ".off": read_off,
    ".ply": read_ply,
    ".stl": read_stl,
}
SUFFIXES = tuple(_READERS)
# Rotation about x by -90 degrees: (x, y, z) -> (x, z, -y). Determinant +1; a swap of two axes would mirror the shape.
Z_UP_TO_Y_UP = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])


def load_mesh(path: Path) -> trimesh.Trimesh:
    """Read a mesh file; the parts of a scene become one mesh, see `datasets.meshes.surface.Surface.to_trimesh`.

    Args:
        path: an OFF, OBJ, PLY, STL, GLB or GLTF file.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be parsed, needs what is not read, or holds no faces, or its faces have no area or
            non-finite corners.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such mesh file")
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"{path}: expected one of {', '.join(SUFFIXES)}, found {path.suffix!r}")
    try:
        surface = read(path)
    except Exception as error:  # broken bytes make parsers raise nearly anything
        if str(path) in str(error) and isinstance(error, (ValueError, OSError)):
            raise
        raise ValueError(f"{path}: not a readable {path.suffix} mesh ({type(error).__name__}: {error})") from error
    surface.parts[:] = [part for part in surface.parts if len(part.faces)]
    if not surface.parts:
        raise ValueError(f"{path}: expected triangles, found a file without faces")
    mesh = surface.to_trimesh()
    corners = mesh.vertices[mesh.faces]
    if not np.isfinite(corners).all():
        raise ValueError(f"{path}: some corners of its faces are not finite")
    if not (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) != 0).any():
        raise ValueError(f"{path}: all {len(mesh.faces)} faces have zero area")
    return mesh


def normalise_mesh(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Return a copy whose bounding box is centred at the origin with diagonal 1, ignoring unreferenced vertices.

    Raises:
        ValueError: the mesh has no extent.
    """
    low, high = np.asarray(mesh.bounds, dtype=np.float64)
    diagonal = float(np.linalg.norm(high - low))
    if not np.isfinite(diagonal) or diagonal <= 0:
        raise ValueError(f"mesh has a bounding box of diagonal {diagonal}, expected a positive number")
    normalised = mesh.copy()
    normalised.vertices = (np.asarray(mesh.vertices) - (low + high) / 2) / diagonal
    return normalised


def sample_surface(mesh: trimesh.Trimesh, num_points: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw uniform random points on the surface.

    Args:
        mesh: at least one face of positive area.
        num_points: > 0.
        rng: source of all randomness.
    Returns:
        points (N, 3) float32, and face_index (N,) int64: the face each point lies on.
    """
    corners = np.asarray(mesh.triangles, dtype=np.float64)  # (F, 3, 3)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    cumulative = np.cumsum(np.linalg.norm(cross, axis=1))
    # side="right" never lands on a face of zero area
    face_index = np.searchsorted(cumulative, rng.random(num_points) * cumulative[-1], side="right")
    face_index = np.minimum(face_index, len(corners) - 1)
    first, second = rng.random((2, num_points, 1))
    outside = first + second > 1  # fold the far half of the parallelogram back onto the triangle
    first, second = np.where(outside, 1 - first, first), np.where(outside, 1 - second, second)
    origin, side_a, side_b = (corners[face_index, i] for i in range(3))
    points = origin + first * (side_a - origin) + second * (side_b - origin)
    return to_float32(points), face_index
