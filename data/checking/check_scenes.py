"""Validation of rooms in the layouts of ScanNet, S3DIS and SUN RGB-D as VoteNet prepares it."""

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from data.checking.check_report import GLUE, Report
from data.parallel import Map
from data.procedural import manifest
from datasets.scenes.room_sets import describe_shared
from datasets.scenes.s3dis_rooms import list_areas, list_rooms, read_room
from datasets.scenes.scannet_frames import SceneFrames
from datasets.scenes.scannet_scans import (
    MADE_ROOMS,
    SPLITS,
    cloud_path,
    has_instances,
    has_scans,
    labels_path,
    list_scans,
    read_scan,
    split_list,
)
from datasets.scenes.scene import IGNORED, Scene, height_doubts, height_of
from datasets.scenes.scene_classes import S3DIS_CLASSES, SCANNET_CLASSES, SUNRGBD_CLASSES
from datasets.scenes.sunrgbd_scenes import SPLITS as PREPARED_SPLITS
from datasets.scenes.sunrgbd_scenes import (
    VERSIONS,
    list_prepared,
    prepared_folder,
    prepared_ids,
    read_prepared,
    read_votes,
)

LOOKED_FOR_SCENES = (
    "scans/<scene>/<scene>_vh_clean_2.ply (ScanNet)",
    "Area_<k>/<room>/Annotations/<class>_<n>.txt (S3DIS)",
    f"{prepared_folder(Path(), 'train')}/<id>_pc.npz (SUN RGB-D, prepared for VoteNet)",
)
_REMEDY = "get the files above again, or remove their scenes"


class _Result(NamedTuple):
    """What one scene holds: `label_counts` (256,) points of each label, `frame_sizes` "WxH" of depth maps."""

    num_points: int = 0
    has_colours: bool = True
    label_counts: np.ndarray | None = None
    num_boxes: int = 0
    num_frames: int = 0
    num_lost: int = 0
    frame_sizes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def check_scenes(root: Path, run: Map) -> list[Report]:
    """Read every scene and every frame in root and report on each of the three layouts, and on unfinished rooms."""
    reports = []
    if has_scans(root):
        reports.append(_check_scannet(root, run))
    if list_areas(root):
        listed, counts = partial(list_rooms, root), f"areas {', '.join(map(str, list_areas(root)))}"
        reports.append(_check("S3DIS", "s3dis", root, root, listed, _check_room, S3DIS_CLASSES, run, counts))
    for version in VERSIONS:
        reports += _check_sunrgbd(root, version, run)
    return reports + _check_made(root)


def _check_made(root: Path) -> list[Report]:
    """Report on rooms of data.make_rooms that it has not finished; on none otherwise."""
    command = f"python -m data.make_rooms --out {shlex.quote(str(root))}"
    try:
        recipe = manifest.unfinished(root, "make_rooms")
    except ValueError as error:
        remedy = f"delete {root}, then {command}"  # which refuses a damaged record, with --overwrite too
        return [Report("made rooms", root, remedy=remedy, use=command, faults=[str(error)])]
    if recipe is None:
        return []
    command = " ".join([command, *(f"--{name} {value}" for name, value in recipe.items())])
    fault = f"{root / MADE_ROOMS}: data.make_rooms was not finished here, so that rooms or lists may be missing"
    return [Report("made rooms", root, remedy=command, use=command, faults=[fault])]


def _check_sunrgbd(root: Path, version: str, run: Map) -> list[Report]:
    reports, found = [], []
    for split in PREPARED_SPLITS:
        folder = prepared_folder(root, split, version)
        if folder.is_dir():
            title, check = f"SUN RGB-D {version} {split}", partial(_check_prepared, folder)
            listed = partial(list_prepared, folder)
            reports.append(_check(title, "sunrgbd", root, folder, listed, check, SUNRGBD_CLASSES, run))
            found.append((folder, prepared_ids(folder)))
    if len(found) == 2 and (shared := describe_shared(*found[0], *found[1])):
        reports[-1].faults.append(shared)
    return reports


def _check_scannet(root: Path, run: Map) -> Report:
    counts, faults, notes, listed = [], [], [], {}
    for split in SPLITS:
        if split_list(root, split) is None:
            continue
        try:
            folders = list_scans(root, split)
            listed[split] = [folder.name for folder in folders]
            counts.append(f"{split} {len(listed[split])}")
        except FileNotFoundError as error:
            faults.append(str(error))
            continue
        if split != "test":  # whose labels are not public
            faults += _label_faults(folders, split_list(root, split))
            notes += _instance_notes(folders, split_list(root, split))
    for one, other in combinations(listed, 2):
        lists = (part for split in (one, other) for part in (split_list(root, split), listed[split]))
        if shared := describe_shared(*lists):
            faults.append(shared)
    for split, names in listed.items():
        if len(names) > len({*names}):
            faults.append(f"{split_list(root, split)} names scenes twice, first {max(names, key=names.count)}")
    every = partial(list_scans, root)
    in_lists = f"in lists: {', '.join(counts) or 'none'}"
    report = _check("ScanNet", "scannet", root, root, every, _check_scan, SCANNET_CLASSES, run, in_lists)
    report.faults += faults
    report.notes += notes
    return report


def _label_faults(folders: list[Path], source: Path) -> list[str]:
    """Name the scenes of a list that have no labels."""
    return [
        f"{source} names {folder.name}, which has no labels: no {path}; get them, or take it off"
        for folder in dict.fromkeys(folders)
        if not (path := labels_path(folder)).is_file()
    ]


def _instance_notes(folders: list[Path], source: Path) -> list[str]:
    """Note the scenes of a list that have no instances, of which boxes are made."""
    without = [folder.name for folder in folders if not has_instances(folder)]
    number = f"{len(without)} of {len(folders)}"
    note = f"{source}: {number} scenes have no instances, first {{}}: train_detection refuses them"
    return [note.format(without[0])] if without else []


def _check(
    title: str,
    dataset: str,
    root: Path,
    folder: Path,
    listed: Callable[[], Sequence],
    check: Callable[[object], _Result],
    classes: tuple[str, ...],
    run: Map,
    counts: str = "",
) -> Report:
    """Check every scene of one layout by `check`."""
    use = f"python -m scripts.plot_rooms --data_root {shlex.quote(str(root))} --dataset {dataset} --out rooms.png"
    report = Report(title, folder, remedy=_REMEDY, use=use)
    try:
        scenes = listed()
    except FileNotFoundError as error:
        report.faults.append(str(error))
        return report
    results = list(run(check, scenes, title))
    report.faults += [fault for result in results for fault in result.faults]
    report.notes += [note for result in results for note in result.notes]
    points = [result.num_points for result in results if result.num_points]
    report.facts.append(
        f"scenes: {len(scenes)}{f' ({counts})' if counts else ''}, points a scene: "
        + (f"{min(points)} .. {max(points)}" if points else "none")
        + f"; boxes of objects: {sum(result.num_boxes for result in results)}"
    )
    without = sum(not result.has_colours for result in results)
    report.notes += [f"{without} of {len(scenes)} scenes have no colours, which networks of rooms take"] * (without > 0)
    report.facts += _label_facts(results, classes) + _frame_facts(results)
    return report


def _label_facts(results: list[_Result], classes: tuple[str, ...]) -> list[str]:
    counts = [result.label_counts for result in results if result.label_counts is not None]
    if not counts:
        return []
    total = np.sum(counts, axis=0)
    shares = ", ".join(f"{name.replace(' ', GLUE)}{GLUE}{n / total.sum():.1%}" for name, n in zip(classes, total) if n)
    without = [name for name, n in zip(classes, total) if not n]
    lacking = f"; no point of {', '.join(without)}" if without else ""
    return [
        f"labelled scenes: {len(counts)} of {len(results)}; points of each class: {shares}, "
        f"of{GLUE}none{GLUE}{total[IGNORED] / total.sum():.1%}{lacking}"
    ]


def _frame_facts(results: list[_Result]) -> list[str]:
    with_frames = [result for result in results if result.num_frames]
    if not with_frames:
        return []
    sizes = sorted({size for result in with_frames for size in result.frame_sizes})
    return [
        f"frames: {sum(result.num_frames for result in with_frames)} of {len(with_frames)} scenes, skipped for lost "
        f"tracking: {sum(result.num_lost for result in with_frames)}; depth maps (width x height): {', '.join(sizes)}"
    ]


def _check_scan(folder: Path) -> _Result:
    """Check a scene of ScanNet and its frames, if it has any."""
    result = _of_scene(partial(read_scan, folder), cloud_path(folder))
    if not (folder / "depth").is_dir():
        return result
    faults, sizes = list(result.faults), set()
    try:
        frames = SceneFrames(folder)
    except (ValueError, OSError) as error:
        return result._replace(faults=(*faults, str(error)))
    for index in range(len(frames)):
        try:
            frame = frames.read(index)
            sizes.add("{1}x{0}".format(*frame.depth.shape))
            faults += _picture_faults(frame.colour_path)
        except (ValueError, OSError) as error:
            faults.append(str(error))
    found = {"num_frames": len(frames), "num_lost": len(frames.lost), "frame_sizes": tuple(sorted(sizes))}
    return result._replace(faults=tuple(faults), **found)


def _picture_faults(path: Path) -> list[str]:
    try:
        with Image.open(path) as picture:
            picture.load()
    except (ValueError, OSError, SyntaxError) as error:
        return [f"{path} is not a readable picture ({error})"]
    return []


def _check_room(folder: Path) -> _Result:
    return _of_scene(partial(read_room, folder), folder)


def _check_prepared(folder: Path, scene_id: str) -> _Result:
    result = _of_scene(partial(read_prepared, folder, scene_id), folder / f"{scene_id}_pc.npz")
    try:
        read_votes(folder, scene_id)
    except (ValueError, OSError) as error:
        if str(error) not in result.faults:
            return result._replace(faults=(*result.faults, str(error)))
    return result


def _of_scene(read: Callable[[], Scene], source: Path) -> _Result:
    """Read a scene from `source` and count what it holds, or report its fault."""
    try:
        scene = read()
    except (ValueError, OSError) as error:
        return _Result(faults=(str(error),))
    counts = None if scene.labels is None else np.bincount(scene.labels, minlength=256)
    num_boxes = 0 if scene.boxes is None else len(scene.boxes.label)
    notes = (*scene.notes, *height_doubts({str(source): height_of(scene.points)}))
    return _Result(len(scene.points), scene.colours is not None, counts, num_boxes, notes=notes)
