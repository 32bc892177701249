"""A trained network on the room of a file: a coloured cloud and a picture of it from above."""

import sys
import time
from pathlib import Path

import numpy as np
import torch

from datasets.scenes.room_files import read_coloured_room
from datasets.scenes.scene import Scene, colour_features
from datasets.scenes.training_rooms import centred
from models.sparse.voxelise import voxelise
from utils.evaluation.features import eval_mode
from utils.figures.contact_sheet import Cell, contact_sheet
from utils.figures.plot_style import save_png
from utils.figures.room_pictures import label_colours, top_view
from utils.inference.coloured_ply import write_coloured
from utils.semseg.semseg_weights import load_for_rooms
from utils.semseg.voxel_tiles import tiled_logits

_SIDE_PX = 360
_USUAL_HEIGHT_M = (1.0, 12.0)  # of a room or hall


def segment_room(source: Path, model_path: Path, out: Path, device: torch.device) -> None:
    """Give every point of a room a class, and write `out`, a PLY of points, colours and labels, and its picture.

    Args:
        source: see `read_coloured_room`; z up, metres.
        model_path: models/best_model.pth of scripts.train_semseg.
    Raises:
        FileNotFoundError, ValueError: as `read_coloured_room` and `load_for_rooms`, or the network has diverged.
    """
    network, origin = load_for_rooms(model_path)
    names = origin["class_names"]
    start = time.perf_counter()
    scene = read_coloured_room(source)
    for note in (*scene.notes, *_doubts(scene)):
        sys.stderr.write(f"note: {note}\n")
    read = time.perf_counter()
    labels, num_tiles = classify_points(network.to(device), scene, origin["voxel"], device)
    seconds = time.perf_counter() - read
    size = " x ".join(f"{side:.1f}" for side in np.ptp(scene.points, axis=0))
    trained = f"{origin['model']} of {origin['dataset']}, voxels of {origin['voxel']:g} m"
    print(f"network: {model_path}, {trained}; room: {len(labels)} points, {size} m, in {num_tiles} tiles")
    write_coloured(out, scene.points, label_colours(labels), labels, names, "label")
    save_png(_picture(scene, labels), out.with_suffix(".png"), dpi=130)
    counts = np.bincount(labels, minlength=len(names))
    for name, count in zip(names, counts):
        print(f"{name:16}{count:>10}{count / len(labels):>8.1%}")
    print(f"read in {read - start:.1f} s, segmented in {seconds:.1f} s; wrote {out} and {out.with_suffix('.png')}")


def classify_points(
    network: torch.nn.Module, scene: Scene, voxel: float, device: torch.device
) -> tuple[np.ndarray, int]:
    """Return the class of every point (N,) uint8, that of its voxel, and the number of tiles.

    Raises:
        ValueError: a logit is not finite.
    """
    points = torch.from_numpy(centred(scene.points)).to(device)
    colours = torch.from_numpy(colour_features(scene.colours)).to(device)
    with eval_mode(network), torch.inference_mode():
        voxels = voxelise(points, colours, voxel)
        logits, num_tiles = tiled_logits(network, voxels.tensor)
        if not logits.isfinite().all():
            raise ValueError(f"{scene.name}: logits that are not finite; the network has diverged")
        return logits.argmax(dim=1)[voxels.inverse].to(torch.uint8).cpu().numpy(), num_tiles


def _doubts(scene: Scene) -> list[str]:
    """Say where a file is unlike rooms in metres with colours, which its numbers alone can tell."""
    height, doubts = float(np.ptp(scene.points[:, 2])), []
    if not _USUAL_HEIGHT_M[0] <= height <= _USUAL_HEIGHT_M[1]:
        doubts.append(f"{scene.name} is {height:g} m high along z; rooms are taken in metres and z up")
    if (scene.colours == scene.colours[0]).all():
        doubts.append(f"all points of {scene.name} have one colour; the network was trained on colours of surfaces")
    return doubts


def _picture(scene: Scene, labels: np.ndarray):
    cells = [
        Cell(scene.name, top_view(scene.points, scene.colours, side_px=_SIDE_PX)),
        Cell("classes", top_view(scene.points, label_colours(labels), side_px=_SIDE_PX)),
    ]
    return contact_sheet([cells])
