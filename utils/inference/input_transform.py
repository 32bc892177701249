"""How a cloud from outside becomes one like those that a network was trained on; the weights say which way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.spatial import cKDTree

from datasets.transforms.point_transforms import unit_sphere

# Training clouds count as of one size and place where their radii (5 to 95 %) differ by less than this factor, and
# their centroids lie within this share of the radius: those of the published sets do, scans do not.
_SAME_RADIUS, _NEAR_ORIGIN = 1.25, 0.15
_UNLIKE = 2.0  # times a network's training radius, from which a cloud taken as it is gets a warning
_AS_READ = "as in the file"
_Z_TO_Y = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)  # of row vectors: (x, y, z) -> (x, z, -y)


def describe_training_clouds(points: np.ndarray, *, normalize: bool) -> dict[str, Any]:
    """Describe clouds (M, N, 3) as a network is trained on them, for its weight file (JSON values).

    Args:
        normalize: whether they have been scaled to the unit sphere.
    """
    centre = points.mean(axis=1, keepdims=True)
    radius = np.linalg.norm(points - centre, axis=2).max(axis=1)
    return {
        "num_points": points.shape[1],
        "normalize": normalize,
        "radius": [float(f"{value:.4g}") for value in np.percentile(radius, (5, 50, 95))],
        "offset": float(f"{np.percentile(np.linalg.norm(centre, axis=2), 95):.4g}"),
    }


@dataclass(frozen=True)
class InputTransform:
    """Number of points, place and scale of a cloud, y up.

    Args:
        num_points: a random subset where a cloud has more; None takes all.
        scaling: "unit" centres and scales to radius 1; "same" scales clouds, which may be in any unit, to `radius`, but
            not the rows of a set; "as_read" changes nothing.
        reason: for `scaling`, in words.
        radius: median of the training clouds', None where it is not known.
        is_z_up: turn z up to y up first.
    """

    num_points: int | None
    scaling: str
    reason: str
    radius: float | None = None
    is_z_up: bool = False

    @classmethod
    def of_weights(
        cls,
        stored: Mapping[str, Any],
        *,
        is_pretrained: bool,
        normalize: bool | None = None,
        num_points: int | None = None,
        is_z_up: bool = False,
    ) -> Self:
        """Choose as the weights say, except for what is given.

        Args:
            stored: what the weight file says of itself, see `stored_origin`; older files say less.
            is_pretrained: whether they are of a pre-training, whose augmentation scales every cloud to radius 1.
            normalize: scale to radius 1, or change nothing; None: as in training.
        """
        clouds, old = stored.get("clouds", {}), stored.get("classifier", {})
        settings = stored.get("run", {}).get("settings", {})
        points = num_points or clouds.get("num_points") or old.get("num_points") or settings.get("num_points")
        radius = clouds.get("radius", [None] * 3)[1]
        is_scaled = is_pretrained or clouds.get("normalize", old.get("normalize", False))
        return cls(points, *_choose(clouds, is_scaled, normalize), radius, is_z_up)

    def __str__(self) -> str:
        taken = f"up to {self.num_points} points" if self.num_points else "all points"
        rows = f"; rows of HDF5 files {_AS_READ}, as evaluation takes them" if self.scaling == "same" else ""
        return f"{taken}, {self._scaled()} ({self.reason}{rows})"

    def _scaled(self) -> str:
        return _AS_READ if self.scaling == "as_read" else f"centred, radius {self._target():g}"

    def _target(self) -> float:
        return self.radius if self.scaling == "same" else 1.0

    def upright(self, points: np.ndarray) -> np.ndarray:
        """Turn a cloud (N, 3) so that y is up."""
        return points @ _Z_TO_Y if self.is_z_up else points

    def rows(self, number: int, seed: int | None) -> np.ndarray:
        """Return which points of a cloud of `number` are taken, (M,): random ones, or for no seed the first."""
        if not self.num_points or number <= self.num_points:
            return np.arange(number)
        if seed is None:
            return np.arange(self.num_points)
        return np.random.default_rng(seed).choice(number, self.num_points, replace=False)

    def __call__(self, points: np.ndarray, *, seed: int | None = 0) -> tuple[np.ndarray, str]:
        """Return the cloud for the network, (M, 3) float32, and what was done to it, in words.

        Args:
            points: (N, 3).
            seed: of the subset; None takes the cloud as evaluation does: its first points, scaled to radius 1 where
                training scaled its clouds, and otherwise as it is.
        Raises:
            ValueError: points are not finite, or a cloud without extent cannot be scaled.
        """
        if not np.isfinite(points).all():
            raise ValueError("it has points that are not finite")
        rows = self.rows(len(points), seed)
        words = [f"{len(points)} points", *(["z up"] if self.is_z_up else [])]
        words += [f"{len(rows)} {'drawn' if seed is not None else 'first taken'}"] if len(rows) < len(points) else []
        taken = self.upright(points)[rows]
        is_kept = self.scaling == "as_read" or (self.scaling == "same" and seed is None)
        if not is_kept:
            taken = unit_sphere(taken) * np.float32(self._target())
        words.append(_AS_READ if is_kept else self._scaled())
        return np.ascontiguousarray(taken, dtype=np.float32), ", ".join(words)

    def unlike_training(self, points: np.ndarray) -> str | None:
        """Say so where a cloud (N, 3) is of another size or place than training clouds, which were all of one radius.

        Args:
            points: as the network sees them.
        """
        if self.scaling != "same":
            return None
        reach = float(np.linalg.norm(points, axis=1).max())
        if self.radius / _UNLIKE <= reach <= self.radius * _UNLIKE:
            return None
        return f"reaches {reach:.3g} from the origin, those {self.radius:g}"

    def spread(self, values: np.ndarray, points: np.ndarray, *, seed: int | None = 0) -> np.ndarray:
        """Give every point (N, 3) the value of the nearest of those taken, (M,) -> (N,); taken ones keep their own."""
        rows = self.rows(len(points), seed)
        full = values[cKDTree(points[rows]).query(points)[1]]
        full[rows] = values  # of equal points too
        return full


def _choose(clouds: Mapping[str, Any], is_scaled: bool, asked: bool | None) -> tuple[str, str]:
    """Return scaling and reason."""
    if asked is not None:
        return ("unit", "--normalize") if asked else ("as_read", "--no-normalize")
    if is_scaled:
        return "unit", "as in training"
    if "radius" not in clouds:
        return "as_read", "the weights do not say how large their training clouds were; --normalize gives radius 1"
    low, median, high = clouds["radius"]
    if high <= _SAME_RADIUS * low and clouds["offset"] <= _NEAR_ORIGIN * median:
        return "same", f"nearly all training clouds had radius {low:g} to {high:g} about the origin"
    return "as_read", f"training clouds were not scaled either, radius {low:g} to {high:g}; --normalize gives radius 1"
