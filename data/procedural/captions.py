"""What is known of a built-in shape, in words: its kind, its proportions, its parts and their colours."""

import colorsys
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data.procedural.assembly import CATEGORIES, LabelledMesh
from datasets.layouts import CAPTIONS
from utils.files import write_text

_HUES = ((15, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (200, "cyan"), (260, "blue"), (290, "purple"))
_HUES += ((340, "pink"), (361, "red"))  # degrees up to which a hue has that name


def describe(mesh: LabelledMesh) -> dict[str, Any]:
    """Describe a shape (JSON values).

    Returns:
        "category"; "members", the words that its family drew for its kind and its parts; "proportions", such as "tall";
        "size", its box along x, y (up) and z; "colours", the most frequent of each part that it has; and "captions",
        sentences made of these, from the shortest to the longest.
    """
    size = np.ptp(mesh.vertices, axis=0)
    members = [word.replace("_", " ") for word in mesh.words if word != "none"]
    found = {
        "category": mesh.category,
        "members": members,
        "proportions": proportions(size),
        "size": [round(float(side), 3) for side in size],
        "colours": part_colours(mesh),
    }
    kind = f"{members[0]} {mesh.category}" if members else mesh.category
    shape = " ".join(filter(None, [found["proportions"], kind]))
    groups: dict[str, list[str]] = {}
    for part, colour in found["colours"].items():
        groups.setdefault(colour, []).append(part)
    parts = ", ".join(f"{colour} {' and '.join(names)}" for colour, names in groups.items())
    texts = [mesh.category, kind, shape, f"{shape} with {parts}"]
    return found | {"captions": [f"{'an' if text[0] in 'aeiou' else 'a'} {text}" for text in texts]}


def proportions(size: np.ndarray) -> str:
    """Name the form of a box (3,) of sides x, y (up), z: tall, flat, long or compact; "" for none of these."""
    height, long, short = size[1], max(size[0], size[2]), min(size[0], size[2])
    if height > 1.5 * long:
        return "tall"
    if height < 0.35 * long:
        return "long flat" if long > 2 * short else "flat"
    if long > 2 * short:
        return "long"
    return "compact" if max(height, long) < 1.4 * min(height, short) else ""


def part_colours(mesh: LabelledMesh) -> dict[str, str]:
    """Name the colour of the largest area of every part that a shape has, in the order of its category's table."""
    corners = mesh.vertices[mesh.faces]  # (F, 3, 3)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    tone = mesh.color[mesh.faces[:, 0]] // 8  # (F, 3), of one corner, in 32 steps: few names to compute
    codes, place = np.unique(tone @ np.array([1024, 32, 1]), return_inverse=True)
    names = np.array([colour_name(8 * np.array([code >> 10, code >> 5 & 31, code & 31]) + 3.5) for code in codes])
    category = CATEGORIES[mesh.category]
    found = {}
    for label in np.unique(mesh.part_label):
        is_own = mesh.part_label == label
        kinds, kind = np.unique(names[place[is_own]], return_inverse=True)
        largest = np.bincount(kind, area[is_own]).argmax()
        found[category.parts[label - category.first_part]] = str(kinds[largest])
    return found


def colour_name(rgb: np.ndarray) -> str:
    """Name a colour (3,) of values from 0 to 255."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(np.asarray(rgb) / 255))
    if value < 0.2:
        return "black"
    if saturation < 0.2:
        return "white" if value > 0.8 else "grey" if value > 0.35 else "dark grey"
    name = next(name for end, name in _HUES if hue * 360 < end)
    if name in ("orange", "red") and hue * 360 < 50 and (value < 0.7 or saturation < 0.6):
        return "brown"
    return name


def write_captions(out: Path, captions: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ROOT/captions.json: `<synset>/<id>` -> `describe` of that shape."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found)}" for name, found in sorted(captions.items()))
    write_text(out / CAPTIONS, "{\n" + lines + "\n}\n")
