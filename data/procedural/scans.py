"""Simulated scans: one side of a shape seen by a depth camera in a scene, with holes and noise.

The model is ScanObjectNN (Uy et al. 2019, arXiv:1908.04616), whose objects were segmented with their surroundings from
scans of rooms. The unit of length is the diagonal of the shape's bounding box unless a comment says otherwise.
"""

from typing import NamedTuple

import numpy as np
import trimesh

from data.procedural.assembly import LabelledMesh
from data.procedural.solids import rotation
from data.rendering.orbit import direction, fitting_distance, pinhole
from data.rendering.raycast import Raycaster
from datasets.shapes.cameras import Camera, look_at, unproject

# Strength of each nuisance; ranges are uniform. Together they determine how hard the scan set is.
SENSOR_PX = 160
FIELD_OF_VIEW_DEG = 36.0
DISTANCE = (1.0, 1.25)  # times the distance at which the shape just fills the frame
ELEVATION_DEG = (8.0, 45.0)
DEPTH_NOISE = 0.006  # standard deviation at the distance of the shape's centre; grows with the distance squared
LATERAL_NOISE = 0.002
NEIGHBOUR_CHANCE = 0.4
NEIGHBOUR_SIZE = (0.6, 1.2)
NEIGHBOUR_GAP = (-0.02, 0.08)
CROP_MARGIN = 1.15  # size of the box cut out of the scene, relative to that of the shape
CLUTTER_SHARE = (0.0, 0.2)  # largest share of the points that may belong to surroundings
NUM_HOLES = (0, 1)  # both ends included
HOLE_RADIUS = (0.06, 0.16)
TILT_DEG = 3.0  # standard deviation about both horizontal axes: rooms are only roughly levelled
SCALE = (1.0, 4.0)  # uniform in its logarithm; 2 brings a shape to about the unit sphere
OFFSET = 0.5  # per axis, in units of the scaled cloud
# the hardest variant: the box is moved, turned and resized before it is cut out (T50_RS of the paper)
BOX_SHIFT = 0.5  # of the box's extent, per axis
BOX_TURN_DEG = 15.0
BOX_SCALE = (0.75, 1.25)
MIN_OBJECT_SHARE = 0.35  # of the seen object points that must stay in a moved box


class Scan(NamedTuple):
    """One scanned object in the three variants of the release, each (N, 3) float32, y up."""

    obj_bg: np.ndarray
    obj_only: np.ndarray
    hardest: np.ndarray


class _Seen(NamedTuple):
    """points (M, 3) float64 that the sensor measured, and whether each lies on the object itself."""

    points: np.ndarray
    is_object: np.ndarray

    def __getitem__(self, keep) -> "_Seen":
        return _Seen(self.points[keep], self.is_object[keep])


def scan_shape(shape: LabelledMesh, neighbour: LabelledMesh, num_points: int, rng: np.random.Generator) -> Scan:
    """Scan a shape that stands on a floor, perhaps beside a neighbour.

    Args:
        shape, neighbour: bounding boxes centred at the origin, of diagonal 1.
        num_points: N of each variant, in random order; points repeat if the sensor measured fewer.
        rng: source of all randomness.
    """
    camera = _sensor(rng)
    seen = _measure(_scene(shape, neighbour, camera, rng), len(shape.faces), camera, rng)
    seen = _with_holes(seen, rng)
    half_box = CROP_MARGIN * np.ptp(shape.vertices, axis=0) / 2
    pose = _pose(rng)
    boxed = seen[(np.abs(seen.points) <= half_box).all(axis=1)]
    share = rng.uniform(*CLUTTER_SHARE)
    obj_bg = _choose(boxed, num_points, share, rng)
    obj_only = _choose(boxed, num_points, 0.0, rng)
    hardest = _choose(_cut_moved_box(seen, half_box, rng), num_points, share, rng)
    return Scan(*((points @ pose.linear.T + pose.offset).astype(np.float32) for points in (obj_bg, obj_only, hardest)))


class _Pose(NamedTuple):
    linear: np.ndarray  # (3, 3)
    offset: np.ndarray  # (3,)


def _pose(rng: np.random.Generator) -> _Pose:
    """Draw any heading, a slight tilt, a scale and an offset."""
    turn = rotation("y", rng.uniform(0, 360))
    tilt = rotation("x", rng.normal(0, TILT_DEG)) @ rotation("z", rng.normal(0, TILT_DEG))
    return _Pose(np.exp(rng.uniform(*np.log(SCALE))) * tilt @ turn, rng.uniform(-OFFSET, OFFSET, size=3))


def _sensor(rng: np.random.Generator) -> Camera:
    azimuth, elevation = np.radians(rng.uniform(0, 360)), np.radians(rng.uniform(*ELEVATION_DEG))
    distance = fitting_distance(FIELD_OF_VIEW_DEG) * rng.uniform(*DISTANCE)
    extrinsics = look_at(distance * direction(azimuth, elevation))
    return Camera(pinhole(SENSOR_PX, FIELD_OF_VIEW_DEG), extrinsics, (SENSOR_PX, SENSOR_PX))


def _scene(shape: LabelledMesh, neighbour: LabelledMesh, camera: Camera, rng: np.random.Generator) -> Raycaster:
    """Combine the shape, first so that its faces keep their numbers, the floor and perhaps the neighbour."""
    floor = shape.vertices[:, 1].min() - 1e-3
    ground = np.array([[-2, floor, -2], [2, floor, -2], [2, floor, 2], [-2, floor, 2]])
    parts = [(shape.vertices, shape.faces), (ground, np.array([[0, 2, 1], [0, 3, 2]]))]
    if rng.random() < NEIGHBOUR_CHANCE:
        parts.append((_place_beside(shape, neighbour, floor, camera, rng), neighbour.faces))
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in parts[:-1]])
    vertices = np.concatenate([vertices for vertices, _ in parts])
    faces = np.concatenate([faces + start for (_, faces), start in zip(parts, starts)])
    return Raycaster(trimesh.Trimesh(vertices, faces, process=False))


def _place_beside(shape, neighbour, floor, camera, rng) -> np.ndarray:
    """Place the neighbour on the floor, beside or behind the shape as seen by the camera; return its vertices."""
    turned = neighbour.vertices @ rotation("y", rng.uniform(0, 360)).T * rng.uniform(*NEIGHBOUR_SIZE)
    towards_camera = np.arctan2(camera.position[0], camera.position[2])
    angle = towards_camera + np.radians(rng.uniform(60, 300))
    direction = np.array([np.sin(angle), 0.0, np.cos(angle)])
    reach = (shape.vertices @ direction).max() - (turned @ direction).min()
    place = direction * (reach + rng.uniform(*NEIGHBOUR_GAP))
    place[1] = floor - turned[:, 1].min()
    return turned + place


def _measure(scene: Raycaster, num_object_faces: int, camera: Camera, rng: np.random.Generator) -> _Seen:
    """Measure the first hits of the sensor's rays, with noise along the ray and a little across it."""
    hits = scene.first_hits(camera)
    reference = np.linalg.norm(camera.position)
    noisy = hits.depth * (1 + rng.normal(0, DEPTH_NOISE, len(hits.depth)) * hits.depth / reference**2)
    depth = np.full(camera.size, np.inf)
    depth[hits.row, hits.column] = noisy
    points = unproject(camera, depth)
    points += rng.normal(0, LATERAL_NOISE, points.shape)
    return _Seen(points, hits.face_index < num_object_faces)


def _with_holes(seen: _Seen, rng: np.random.Generator) -> _Seen:
    """Remove balls about random object points, as where a scanner gets no return; keep at least half of the object."""
    num_seen = seen.is_object.sum()
    for _ in range(rng.integers(NUM_HOLES[0], NUM_HOLES[1] + 1)):
        centre = rng.choice(seen.points[seen.is_object])
        keep = np.linalg.norm(seen.points - centre, axis=1) > rng.uniform(*HOLE_RADIUS)
        if (keep & seen.is_object).sum() >= 0.5 * num_seen:
            seen = seen[keep]
    return seen


def _cut_moved_box(seen: _Seen, half_box: np.ndarray, rng: np.random.Generator) -> _Seen:
    """Crop by a shifted, rotated and resized box, redrawn nearer until it holds enough of the object."""
    needed = MIN_OBJECT_SHARE * seen.is_object.sum()
    reach = BOX_SHIFT
    while True:
        shift = rng.uniform(-reach, reach, size=3) * 2 * half_box
        turn = rotation("y", rng.normal(0, BOX_TURN_DEG))
        local = (seen.points - shift) @ turn
        inside = (np.abs(local) <= half_box * rng.uniform(*BOX_SCALE)).all(axis=1)
        if (inside & seen.is_object).sum() >= needed:
            return _Seen(local[inside], seen.is_object[inside])
        reach *= 0.8


def _choose(seen: _Seen, num_points: int, clutter_share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw (num_points, 3) in random order, at most `clutter_share` of them surroundings, repeating only if needed."""
    on_object, around = np.flatnonzero(seen.is_object), np.flatnonzero(~seen.is_object)
    num_around = min(len(around), int(clutter_share * num_points))
    num_object = num_points - num_around
    repeats = len(on_object) < num_object
    index = np.concatenate(
        [rng.choice(on_object, num_object, replace=repeats), rng.choice(around, num_around, replace=False)]
    )
    points = seen.points[rng.permutation(index)]
    return points + rng.normal(0, LATERAL_NOISE, points.shape) if repeats else points
