"""Pictures of rooms: depth maps, and clouds seen from above."""

import numpy as np
from matplotlib import colormaps
from PIL import Image

from datasets.detection.scene_boxes import points_inside
from datasets.scenes.scannet_frames import SceneFrames
from datasets.scenes.scene import IGNORED, Scene
from utils.figures.contact_sheet import Cell

_FAR_M = 5.0  # drawn white
_CUT_M = 1.9  # above the floor: what is higher, such as the ceiling, is not drawn from above
_SIDE_PX = 110
_GREY = 120  # of what has no class or colour


def depth_picture(depth: np.ndarray) -> np.ndarray:
    """Draw a depth map (H, W) in metres: near is dark, holes are red. Returns (H, W, 3) uint8."""
    grey = np.clip(np.where(np.isfinite(depth), depth, 0) / _FAR_M, 0, 1)[..., None] * np.array([255, 255, 255])
    grey[~np.isfinite(depth)] = (180, 40, 40)
    return grey.astype(np.uint8)


def top_view(points: np.ndarray, colours: np.ndarray, *, side_px: int = _SIDE_PX) -> np.ndarray:
    """Draw a cloud (N, 3) with z up from above, its highest points below the cut last. Returns (S, S, 3) uint8."""
    low = points.min(axis=0)
    shown = np.flatnonzero(points[:, 2] < np.quantile(points[:, 2], 0.01) + _CUT_M)
    shown = shown[np.argsort(points[shown, 2], kind="stable")]
    place = (points[shown, :2] - low[:2]) / (np.ptp(points[:, :2], axis=0).max() or 1)  # of one point: 1
    column, row = np.minimum((place * side_px).astype(int), side_px - 1).T
    picture = np.full((side_px, side_px, 3), 255, dtype=np.uint8)
    picture[side_px - 1 - row, column] = colours[shown]
    return picture


def label_colours(labels: np.ndarray) -> np.ndarray:
    """Give each class a colour of its own, grey to none. Shape: (N,) -> (N, 3) uint8."""
    table = np.full((256, 3), 200, dtype=np.uint8)
    table[:20] = (255 * np.array(colormaps["tab20"].colors)).astype(np.uint8)
    table[IGNORED] = _GREY
    return table[labels]


def room_cells(scene: Scene, frames: SceneFrames | None, num_frames: int, class_names: tuple[str, ...]) -> list[Cell]:
    """Make the row of a room in a contact sheet: views from above, then pairs of colour and depth along its path."""
    cells = [] if scene.colours is None else [Cell(scene.name, top_view(scene.points, scene.colours))]
    if scene.labels is not None:
        present = [name for label, name in enumerate(class_names) if (scene.labels == label).any()]
        cells.append(Cell(f"{len(present)} classes", top_view(scene.points, label_colours(scene.labels))))
        if scene.instances is not None:
            colours = label_colours((scene.instances * 7 % 20).astype(np.uint8))
            cells.append(Cell("objects", top_view(scene.points, colours)))
    elif scene.boxes is not None:
        inside = points_inside(scene.points, scene.boxes)
        label = np.where(inside.any(axis=0), scene.boxes.label[inside.argmax(axis=0)], IGNORED) if len(inside) else None
        if label is not None:
            cells.append(Cell(f"{len(inside)} boxes", top_view(scene.points, label_colours(label.astype(np.uint8)))))
    if not cells:
        cells.append(Cell(f"{scene.name}, no colours", top_view(scene.points, np.full_like(scene.points, _GREY))))
    for index in np.linspace(0, len(frames) - 1, num_frames).astype(int) if frames else ():
        frame = frames.read(int(index))
        with Image.open(frame.colour_path) as picture:
            cells.append(Cell(f"frame {frames.numbers[index]}", np.asarray(picture.convert("RGB"))))
        cells.append(Cell("depth", depth_picture(frame.depth)))
    return cells
