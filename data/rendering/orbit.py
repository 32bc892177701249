"""Random cameras on a sphere around a shape of unit diagonal."""

import numpy as np

from datasets.shapes.cameras import Camera, look_at

FIELD_OF_VIEW_DEG = 30.0
ELEVATION_DEG = (-5.0, 45.0)
DISTANCE_FACTOR = (1.0, 1.15)  # times the distance at which the bounding sphere just fits the frame


def pinhole(size_px: int, field_of_view_deg: float) -> np.ndarray:
    """Return the intrinsics (3, 3) of a square image with this full angle across it."""
    focal_px = size_px / 2 / np.tan(np.radians(field_of_view_deg) / 2)
    return np.array([[focal_px, 0, size_px / 2], [0, focal_px, size_px / 2], [0, 0, 1]])


def fitting_distance(field_of_view_deg: float) -> float:
    """Return the distance at which a sphere of diameter 1 just fits the frame."""
    return 0.5 / np.sin(np.radians(field_of_view_deg) / 2)


def direction(azimuth: np.ndarray | float, elevation: np.ndarray | float) -> np.ndarray:
    """Return unit vectors (..., 3) at these angles in radians; azimuth 0 is +z, elevation 0 is level."""
    level = np.cos(elevation)
    return np.stack([level * np.sin(azimuth), np.sin(elevation), level * np.cos(azimuth)], axis=-1)


def orbit_cameras(
    num_views: int,
    size_px: int,
    rng: np.random.Generator,
    *,
    elevation_deg: tuple[float, float] = ELEVATION_DEG,
    distance_factor: tuple[float, float] = DISTANCE_FACTOR,
    field_of_view_deg: float = FIELD_OF_VIEW_DEG,
) -> list[Camera]:
    """Draw cameras that face the origin and keep a shape of unit diagonal within the frame.

    Azimuths are stratified, one in each of `num_views` equal sectors in random order, so that few views still cover
    all sides while each single azimuth is uniform. Elevation and distance are uniform.

    Args:
        num_views: > 0.
        size_px: height and width of the image.
        rng: source of all randomness.
        elevation_deg: range, within (-90, 90); 0 is level, positive looks down.
        distance_factor: range; 1 is the distance at which the sphere of diameter 1 just fits.
        field_of_view_deg: full angle across the image.
    Source: random azimuth, bounded elevation and varied distance follow the renderings of Choy et al. 2016,
        arXiv:1604.00449; the ranges are ours.
    """
    if num_views < 1 or size_px < 1:
        raise ValueError(f"num_views and size_px must be positive, got {num_views} and {size_px}")
    intrinsics = pinhole(size_px, field_of_view_deg)
    azimuth = 2 * np.pi * rng.permutation(np.arange(num_views) + rng.random(num_views)) / num_views
    elevation = np.radians(rng.uniform(*elevation_deg, num_views))
    distance = fitting_distance(field_of_view_deg) * rng.uniform(*distance_factor, num_views)
    positions = distance[:, None] * direction(azimuth, elevation)
    return [Camera(intrinsics, look_at(position), (size_px, size_px)) for position in positions]
