"""Reading of point clouds from PLY files, binary or ascii."""

from pathlib import Path

import numpy as np
import trimesh


def read_points(path: Path) -> np.ndarray:
    """Read the vertices of a PLY file, ignoring faces and all other properties.

    Returns:
        (N, 3) float32, N >= 1, all finite, in file order and in the unit of the file.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a PLY file, truncated, without vertices, or with non-finite coordinates.
    """
    points = _load_vertices(path)
    if len(points) == 0:
        raise ValueError(f"{path} is a PLY file without vertices; make it again or delete it and its renders")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{path} has {len(bad)} of {len(points)} points that are not finite (first: vertex {bad[0]}); "
            "make it again or delete it and its renders"
        )
    return points


def _load_vertices(path: Path) -> np.ndarray:
    """Read the vertices, (N, 3) float32; N may be 0."""
    with open(path, "rb") as file:
        try:
            cloud = trimesh.load(file, file_type="ply", process=False)
        except Exception as error:  # a damaged header makes the parser raise KeyError, IndexError, ValueError ...
            raise ValueError(
                f"{path} is not a readable PLY file ({type(error).__name__}: {error}); make it again or delete it"
            ) from error
    points = np.asarray(getattr(cloud, "vertices", np.empty((0, 3))), dtype=np.float32)
    # A truncated ascii file loads without an error, so compare with the count in its header.
    announced = cloud.metadata.get("_ply_raw", {}).get("vertex", {}).get("length", len(points))
    if announced != len(points):
        raise ValueError(f"{path} announces {announced} vertices and holds {len(points)}: cut short; make it again")
    return points
