"""The scan of a room: RGB-D frames along a path, and the cloud that is fused from them."""

from typing import NamedTuple

import numpy as np
import trimesh

from data.procedural.rooms.camera_path import camera_path
from data.procedural.rooms.depth_sensor import STEP_M, sense_depth
from data.procedural.rooms.furnishing import Room
from data.rendering.raycast import Raycaster
from data.rendering.shading import face_planes
from datasets.shapes.cameras import Camera, unproject

_GRAIN = 2.5  # standard deviation of the noise of colours, 0 .. 255
_FUSED_WITHIN_M = 4.5  # farther measurements are too noisy to fuse
_LEAST_MEASUREMENTS = 2  # of a voxel: a single one may float beside an edge


class ScannedFrame(NamedTuple):
    """colour (H, W, 3) uint8; depth (H, W) uint16 millimetres, 0 for holes; thing (H, W) int32 row of Room.things."""

    camera: Camera
    colour: np.ndarray
    depth: np.ndarray
    thing: np.ndarray

    def measured(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lift the measured pixels: points (M, 3) float64 in the room, colours (M, 3), things (M,)."""
        is_known = self.depth > 0
        depth = np.where(is_known, self.depth * STEP_M, np.inf)
        return unproject(self.camera, depth), self.colour[is_known], self.thing[is_known]


class Cloud(NamedTuple):
    """points (N, 3) float64 in the room, colours (N, 3) uint8, thing (N,) row of Room.things."""

    points: np.ndarray
    colours: np.ndarray
    thing: np.ndarray


def scan_room(room: Room, count: int, width_px: int, rng: np.random.Generator) -> list[ScannedFrame]:
    """Photograph a room `count` times along a path, in colour and in depth."""
    starts = np.cumsum([0] + [len(one.vertices) for one in room.things])
    mesh = trimesh.Trimesh(
        np.concatenate([one.vertices for one in room.things]),
        np.concatenate([one.faces + start for one, start in zip(room.things, starts)]),
        vertex_colors=np.concatenate([one.colours for one in room.things]),
        process=False,
    )
    thing_of_face = np.repeat(np.arange(len(room.things), dtype=np.int32), [len(one.faces) for one in room.things])
    caster, normals = Raycaster(mesh), face_planes(mesh).normals
    return [
        _photograph(caster, camera, normals, thing_of_face, rng) for camera in camera_path(room, count, width_px, rng)
    ]


def _photograph(
    caster: Raycaster, camera: Camera, normals: np.ndarray, thing_of_face: np.ndarray, rng: np.random.Generator
) -> ScannedFrame:
    rgba, depth = caster.render(camera, supersample=1)
    hits = caster.first_hits(camera)
    place = (hits.row, hits.column)
    thing, cosine = np.full(camera.size, -1, dtype=np.int32), np.zeros(camera.size)
    thing[place] = thing_of_face[hits.face_index]
    pixels = np.stack([hits.column + 0.5, hits.row + 0.5, np.ones(len(hits.row))], axis=1)
    rays = pixels @ np.linalg.inv(camera.intrinsics).T @ camera.extrinsics[:3, :3]
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    cosine[place] = np.abs((rays * normals[hits.face_index]).sum(axis=1))
    colour = rgba[..., :3] + rng.standard_normal(rgba[..., :3].shape, dtype=np.float32) * _GRAIN
    return ScannedFrame(camera, np.clip(colour, 0, 255).astype(np.uint8), sense_depth(depth, cosine, rng), thing)


def fuse(frames: list[ScannedFrame], voxel_m: float) -> Cloud:
    """Bring the measurements of all frames together: a voxel measured twice or more becomes the mean of its points."""
    parts = []
    for frame in frames:
        near = frame._replace(depth=np.where(frame.depth * STEP_M <= _FUSED_WITHIN_M, frame.depth, 0))
        parts.append(near.measured())
    points, colours, thing = (np.concatenate(column) for column in zip(*parts))
    cell = np.floor(points / voxel_m).astype(np.int64)
    cell -= cell.min(axis=0)
    key = (cell[:, 0] << 42) + (cell[:, 1] << 21) + cell[:, 2]
    _, first, voxel, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    means = [np.bincount(voxel, weights=column) / count for column in np.concatenate([points, colours], axis=1).T]
    kept = count >= _LEAST_MEASUREMENTS
    mean = np.stack(means, axis=1)[kept]
    return Cloud(mean[:, :3], np.rint(mean[:, 3:]).astype(np.uint8), thing[first[kept]])
