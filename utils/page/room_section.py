"""Rooms with true and predicted classes for the page: JSON values."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from datasets.scenes.scene import IGNORED
from utils.figures.room_pictures import label_colours
from utils.page.page_arrays import check_range, encode, encode_labels, read_npz, to_int16
from utils.run.names import ROOM_CLOUDS_FILE


def read_room_clouds(run_dir: Path) -> dict[str, Any]:
    """Read the rooms of room_clouds.npz; y is up on the page, and points without a class have the last one, "no class".

    Raises:
        ValueError: the file is damaged; names it.
    """
    path = run_dir / ROOM_CLOUDS_FILE
    layout = {
        **{"points": ("f", "M x3"), "colours": ("u", "M x3"), "label": ("u", "M"), "predicted": ("u", "M")},
        **{"room": ("iu", "M"), "room_names": ("U", "S"), "class_names": ("U", "Y")},
    }
    arrays = read_npz(path, layout)
    names = [*arrays["class_names"].tolist(), "no class"]
    label = np.where(arrays["label"] == IGNORED, len(names) - 1, arrays["label"])
    check_range(path, "label", label, len(names))
    check_range(path, "predicted", arrays["predicted"], len(names) - 1)
    check_range(path, "room", arrays["room"], len(arrays["room_names"]))
    if not len(label) or not np.isfinite(arrays["points"]).all():
        raise ValueError(f"{path}: points is empty or not finite; score the run again")
    upright = arrays["points"][:, [0, 2, 1]] * (1, 1, -1)
    numbers = np.array([*range(len(names) - 1), IGNORED])
    return {
        "classes": names,
        "colours": [to_hex(colour / 255) for colour in label_colours(numbers)],
        "rooms": [
            {
                "name": str(name),
                "xyz": encode(to_int16(upright[rows]), "i2"),
                "rgb": encode(arrays["colours"][rows], "u1"),
                "label": encode_labels(label[rows]),
                "predicted": encode_labels(arrays["predicted"][rows]),
            }
            for number, name in enumerate(arrays["room_names"])
            if len(rows := np.flatnonzero(arrays["room"] == number))
        ],
    }
