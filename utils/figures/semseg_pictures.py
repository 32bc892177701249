"""Pictures of segmented rooms: colours, true classes and predicted ones, from above."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from datasets.scenes.scene import IGNORED, Scene
from utils.figures.room_pictures import label_colours, top_view

_SIDE_INCHES, _SIDE_PX = 2.6, 170
_LEGEND_COLUMNS = 7


class SegmentedRoom(NamedTuple):
    """A room with colours and labels, and the class (N,) that a network gives each of its points."""

    scene: Scene
    predicted: np.ndarray


def segmentation_panel(rooms: Sequence[SegmentedRoom], class_names: Sequence[str]) -> Figure:
    """Draw a row for each room, its colours, the truth and the prediction, over a legend of the classes that occur.

    Points without a true class are grey in the truth; what is more than 1.9 m above the floor is left out.

    Raises:
        ValueError: no room.
    """
    if not rooms:
        raise ValueError("no room to draw")
    present = np.unique(np.concatenate([part for room in rooms for part in (room.scene.labels, room.predicted)]))
    lines = -(-len(present) // _LEGEND_COLUMNS)
    size = (3 * _SIDE_INCHES, (_SIDE_INCHES + 0.3) * len(rooms) + 0.25 * lines)
    figure = Figure(figsize=size, layout="constrained")
    for room, axes in zip(rooms, figure.subplots(len(rooms), 3, squeeze=False)):
        scene, has_class = room.scene, room.scene.labels != IGNORED
        right = (scene.labels == room.predicted)[has_class].mean() if has_class.any() else float("nan")
        colours = (scene.colours, label_colours(scene.labels), label_colours(room.predicted))
        titles = (scene.name, "true classes", f"predicted, {100 * right:.0f} % right")
        for place, title, painted in zip(axes, titles, colours):
            place.imshow(top_view(scene.points, painted, side_px=_SIDE_PX), interpolation="antialiased")
            place.set_title(title, fontsize="small")
            place.set_axis_off()
    handles = [
        Patch(color=label_colours(np.array([label]))[0] / 255, label=_name(label, class_names)) for label in present
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=_LEGEND_COLUMNS, fontsize="x-small", frameon=False)
    return figure


def _name(label: int, class_names: Sequence[str]) -> str:
    return "no class" if label == IGNORED else class_names[label]
