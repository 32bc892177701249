"""Jobs of the worker processes: make, scan and write one room in the layouts asked for."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from data.procedural.rooms.furnishing import make_room, room_rng
from data.procedural.rooms.room_scan import fuse, scan_room
from data.procedural.rooms.s3dis_writer import write_room
from data.procedural.rooms.scannet_writer import write_scan
from data.procedural.rooms.sunrgbd_writer import write_prepared
from datasets.scenes.sunrgbd_scenes import prepared_folder

LAYOUTS = ("scannet", "s3dis", "sunrgbd")
NUM_AREAS = 6
FRAMES_OF_A_SUN_SCENE = 8  # every eighth frame of a room becomes a scene of its own
_SCAN, _PLACE, _SAMPLE = 1, 2, 3  # independent random streams of a room, by purpose


class RoomJob(NamedTuple):
    """The room of number `index`, written below `out` in `layouts`."""

    out: Path
    seed: int
    index: int
    num_frames: int
    width_px: int
    voxel_m: float
    layouts: tuple[str, ...] = LAYOUTS

    @property
    def scan_folder(self) -> Path:
        return self.out / "scans" / scan_name(self.index)

    @property
    def sun_ids(self) -> dict[int, str]:
        """Id of each scene of SUN RGB-D, by the number of its frame."""
        numbers = range(0, self.num_frames, FRAMES_OF_A_SUN_SCENE)
        return {number: f"{self.index * len(numbers) + place + 1:06d}" for place, number in enumerate(numbers)}

    def room_folder(self, kind: str) -> Path:
        return self.out / f"Area_{self.index % NUM_AREAS + 1}" / f"{kind}_{self.index}"

    @property
    def sun_folder(self) -> Path:
        return prepared_folder(self.out, split_of(self.index))

    @property
    def is_done(self) -> bool:
        """Whether all of the room is there; a folder and the cloud of a frame appear only when they are whole."""
        area = self.out / f"Area_{self.index % NUM_AREAS + 1}"
        return (
            ("scannet" not in self.layouts or self.scan_folder.is_dir())
            and ("s3dis" not in self.layouts or any(area.glob(f"[!.]*_{self.index}")))
            and (
                "sunrgbd" not in self.layouts
                or all((self.sun_folder / f"{scene_id}_pc.npz").is_file() for scene_id in self.sun_ids.values())
            )
        )


def scan_name(index: int) -> str:
    """Return the name of a room among the scenes of ScanNet."""
    return f"scene{index:04d}_00"


def split_of(index: int) -> str:
    """Return train, or val for every fourth room."""
    return "val" if index % 4 == 3 else "train"


def run_room(job: RoomJob) -> int:
    """Write what a room lacks: all of it or nothing. Return the number of points of its cloud, 0 for nothing."""
    if job.is_done:
        return 0
    room = make_room(job.seed, job.index)
    frames = scan_room(room, job.num_frames, job.width_px, room_rng(job.seed, job.index, _SCAN))
    cloud = fuse(frames, job.voxel_m)
    if "scannet" in job.layouts:
        rng = room_rng(job.seed, job.index, _PLACE)
        _write_whole(job.scan_folder, lambda folder: write_scan(folder, job.scan_folder.name, room, frames, cloud, rng))
    if "s3dis" in job.layouts:
        target = job.room_folder(room.kind)
        _write_whole(target, lambda folder: write_room(folder, target.name, room, cloud))
    if "sunrgbd" in job.layouts:
        rng = room_rng(job.seed, job.index, _SAMPLE)
        for number, scene_id in job.sun_ids.items():
            write_prepared(job.sun_folder, scene_id, room, frames[number], rng)
    return len(cloud.points)


def _write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a new hidden folder, then rename it to `folder`; what a killed run left of it is removed."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left)
    shutil.rmtree(folder, ignore_errors=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    write(partial)
    partial.rename(folder)
