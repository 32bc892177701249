"""A trained network on the room of a file: a coloured cloud and a picture of it from above."""

import sys
import time
from pathlib import Path

import numpy as np
import torch

from datasets.precision import float32_step
from datasets.scenes.room_files import read_coloured_room
from datasets.scenes.scene import Scene, height_doubts, height_of
from utils.figures.contact_sheet import Cell, contact_sheet
from utils.figures.plot_style import save_png
from utils.figures.room_pictures import label_colours, top_view
from utils.inference.coloured_ply import write_coloured
from utils.semseg.semseg_scores import RoomNetwork, load_room_network

_SIDE_PX = 360
_LEAST_STEPS = 10  # of float32 within the detail that a network sees; fewer are noted


def segment_room(source: Path, model_path: Path, out: Path, device: torch.device) -> None:
    """Give every point of a room a class, and write `out`, a PLY of points, colours and labels, and its picture.

    Args:
        source: see `read_coloured_room`; z up, metres.
        model_path: models/best_model.pth of scripts.train_semseg.
    Raises:
        FileNotFoundError, ValueError: as `read_coloured_room` and `load_room_network`; float32 does not hold the room's
            detail; or the network has diverged.
    """
    trained = load_room_network(model_path)
    origin, names = trained.origin, trained.origin["class_names"]
    start = time.perf_counter()
    scene = read_coloured_room(source)
    for note in (*scene.notes, *_doubts(scene), *_coarse(scene, source, trained)):
        sys.stderr.write(f"note: {note}\n")
    read = time.perf_counter()
    labels, cut = trained.classify(scene._replace(name=str(source)), device)
    seconds = time.perf_counter() - read
    size = " x ".join(f"{side:.1f}" for side in np.ptp(scene.points, axis=0))
    kind = f"{origin['model']} of {origin['dataset']}, {trained.words}"
    print(f"network: {model_path}, {kind}; room: {len(labels)} points, {size} m, in {cut}")
    write_coloured(out, scene.points, label_colours(labels), labels, names, "label")
    save_png(_picture(scene, labels), out.with_suffix(".png"), dpi=130)
    counts = np.bincount(labels, minlength=len(names))
    for name, count in zip(names, counts):
        print(f"{name:16}{count:>10}{count / len(labels):>8.1%}")
    print(f"read in {read - start:.1f} s, segmented in {seconds:.1f} s; wrote {out} and {out.with_suffix('.png')}")


def _doubts(scene: Scene) -> list[str]:
    """Say where a file is unlike rooms in metres with colours, which its numbers alone can tell."""
    doubts = height_doubts({scene.name: height_of(scene.points)})
    if (scene.colours == scene.colours[0]).all():
        doubts.append(f"all points of {scene.name} have one colour; the network was trained on colours of surfaces")
    return doubts


def _coarse(scene: Scene, source: Path, trained: RoomNetwork) -> list[str]:
    """Say where float32, as which points are stored or read, is too coarse for the network.

    Raises:
        ValueError: coarser than the detail that it sees.
    """
    (step, place), needed = float32_step(scene.points), trained.detail_m / _LEAST_STEPS
    if step <= needed:
        return []
    found = (
        f"{source}: its coordinates, about {place:,.0f} m, lie {step:g} m apart as float32; {trained.words} need "
        f"{needed:g} m or less: move the room to the origin before it is stored, or store doubles"
    )
    if step > trained.detail_m:
        raise ValueError(found)
    return [found]


def _picture(scene: Scene, labels: np.ndarray):
    cells = [
        Cell(scene.name, top_view(scene.points, scene.colours, side_px=_SIDE_PX)),
        Cell("classes", top_view(scene.points, label_colours(labels), side_px=_SIDE_PX)),
    ]
    return contact_sheet([cells])
