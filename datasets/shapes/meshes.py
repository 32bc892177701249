"""Reading, checking, normalising and sampling of triangle meshes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh

PARTS = "parts"  # metadata key under which a merged mesh keeps its parts, for lookups of colours
SUFFIXES = (".glb", ".obj", ".off", ".ply", ".stl")
# Rotation about x by -90 degrees: (x, y, z) -> (x, z, -y). Determinant +1; a swap of two axes would mirror the shape.
Z_UP_TO_Y_UP = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])


def load_mesh(path: Path) -> trimesh.Trimesh:
    """Read a mesh file; the parts of a scene become one mesh that keeps their colours and textures.

    Args:
        path: an OFF, OBJ, PLY, STL or GLB file.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be parsed or holds no faces, or its faces have no area or non-finite corners.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such mesh file")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: expected one of {', '.join(SUFFIXES)}, found {path.suffix!r}")
    try:
        scene = trimesh.load(path, force="scene", process=False)
        parts = [part for part in scene.dump() if len(getattr(part, "faces", ())) > 0]
    except Exception as error:  # broken bytes make the parsers raise nearly anything
        raise ValueError(f"{path}: not a readable {path.suffix} mesh ({type(error).__name__}: {error})") from error
    if not parts:
        raise ValueError(f"{path}: expected triangles, found a file without faces")
    mesh = parts[0] if len(parts) == 1 else _merge(parts)
    _check_faces(mesh, path)
    return mesh


def _merge(parts: Sequence[trimesh.Trimesh]) -> trimesh.Trimesh:
    """Merge several meshes into one whose colours stay in its parts (see data/rendering/appearance.py).

    trimesh would pack the textures into one image, which breaks repeating ones, and would drop all colours if both
    textured and coloured parts occur.
    """
    first_vertex = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    return trimesh.Trimesh(
        vertices=np.concatenate([part.vertices for part in parts]),
        faces=np.concatenate([part.faces + first for part, first in zip(parts, first_vertex)]),
        process=False,
        metadata={PARTS: parts},
    )


def _check_faces(mesh: trimesh.Trimesh, path: Path) -> None:
    """Raise a ValueError for faces that would crash the ray caster or silently corrupt its output."""
    for name, rows in (("vertices", mesh.vertices), ("faces", mesh.faces)):
        if rows.ndim != 2 or rows.shape[1] != 3:
            raise ValueError(f"{path}: damaged, its {name} have shape {rows.shape}, expected 3 numbers each")
    low, high = int(mesh.faces.min()), int(mesh.faces.max())
    if low < 0 or high >= len(mesh.vertices):
        raise ValueError(f"{path}: faces name vertices {low}..{high}, but the file has {len(mesh.vertices)}")
    if not np.isfinite(mesh.vertices[mesh.faces]).all():
        raise ValueError(f"{path}: some faces have NaN or infinite vertices")
    if not np.linalg.norm(mesh.triangles_cross, axis=1).sum() > 0:
        raise ValueError(f"{path}: all {len(mesh.faces)} faces have zero area")


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
    return points.astype(np.float32), face_index
