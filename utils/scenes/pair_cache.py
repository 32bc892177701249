"""The overlapping frames of scenes, found once: a file of each scene in a folder, named by what it was computed from.

<digest>.npz    pairs (K, 2) int32, places among the frames of the scene; overlaps (K,) float32
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.scenes.frame_overlap import list_pairs
from datasets.scenes.frame_pairs import FramePairs
from datasets.scenes.scannet_frames import SceneFrames
from datasets.scenes.scene import Frame
from utils.files import read_npz, write_npz
from utils.processes.collectives import gather_objects, is_main_process, rank_rows


def find_pairs(
    scenes: Sequence[SceneFrames],
    folder: Path,
    *,
    step: int,
    least: float,
    tolerance: float,
    stride: int,
    report: Callable[[str], None],
    skips_bad: bool = False,
) -> FramePairs:
    """Find the pairs of frames of the scenes, each rank its share of those of which the folder holds none.

    Args:
        folder: of the files.
        step: frames whose number is a multiple of this take part.
        least, tolerance, stride: see `list_pairs`.
        report: called with lines for people.
        skips_bad: leave out frames that cannot be read, and name them; the pairs of their scene are not kept.
    Raises:
        FileNotFoundError, ValueError: a frame is missing or damaged, or no two frames overlap.
    """
    settings = {"step": step, "least": least, "tolerance": tolerance, "stride": stride}
    own, rows, num_computed, faults = rank_rows(len(scenes)), [], 0, []
    for number in tqdm(own, desc="overlaps", unit="scene", disable=None if is_main_process() else True):
        scene = scenes[number]
        chosen = [place for place, frame in enumerate(scene.numbers) if frame % step == 0]
        path = folder / f"{_digest(scene, settings)}.npz"
        if path.is_file():
            pairs = _read(path)
        else:
            frames, unread = _read_frames(scene, chosen, skips_bad)
            places, overlaps = list_pairs(list(frames.values()), least, tolerance, stride)
            pairs = np.array(list(frames), dtype=np.int32)[places]
            if not unread:
                write_npz(path, pairs=pairs, overlaps=overlaps)
            faults += unread
            num_computed += 1
        rows.append(np.insert(pairs, 0, number, axis=1))
    parts = gather_objects((rows, num_computed, faults))
    for fault in (fault for *_, of_rank in parts for fault in of_rank):
        report(f"warning: skipped {fault}")
    found = np.concatenate([part for of_rank, *_ in parts for part in of_rank])
    if not len(found):
        raise ValueError(
            f"no two frames of {len(scenes)} scenes in {scenes[0].folder.parent} show {least:.0%} of each other; pass "
            f"a --frame_step below {step}, or a lower --least_overlap"
        )
    computed = sum(number for _, number, _ in parts)
    report(f"{len(found)} pairs of frames in {len(scenes)} scenes, overlaps of {computed} computed into {folder}")
    return FramePairs(scenes, found)


def _read_frames(scene: SceneFrames, places: Sequence[int], skips_bad: bool) -> tuple[dict[int, Frame], list[str]]:
    """Read frames by their places; return also what is wrong with those that are left out."""
    frames, faults = {}, []
    for place in places:
        try:
            frames[place] = scene.read(place)
        except (ValueError, OSError) as error:
            if not skips_bad:
                raise
            faults.append(str(error))
    return frames, faults


def _read(path: Path) -> np.ndarray:
    try:
        return read_npz(path)["pairs"]
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it: it is computed again") from error


def _digest(scene: SceneFrames, settings: dict[str, float]) -> str:
    """Digest the settings and what tells whether the files of the frames have changed."""
    files = [scene.folder / f"intrinsic/intrinsic_{name}.txt" for name in ("depth", "color")]
    files += [scene.folder / name for n in scene.numbers for name in (f"depth/{n}.png", f"pose/{n}.txt")]
    stamps = [(path.name, (stat := path.stat()).st_size, stat.st_mtime_ns) for path in files]
    text = json.dumps([scene.folder.name, settings, stamps])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
