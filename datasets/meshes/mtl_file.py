"""Reading of the material files (MTL) that OBJ files name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.shapes.views import opaque_colours, open_view
from datasets.text_files import decode_text, is_number

# options of map_Kd and the most words that follow each; the numbers after -o, -s and -t may be fewer
_OPTIONS = {"-blendu": 1, "-blendv": 1, "-bm": 1, "-boost": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1, "-mm": 2}
_OPTIONS |= {"-o": 3, "-s": 3, "-t": 3, "-texres": 1, "-type": 1, "-colorspace": 1}


@dataclass
class Material:
    """Diffuse colour (3,) float32 0..255, or None; texture; and the map of its coordinates, uv * scale + offset."""

    colour: np.ndarray | None = None
    texture: Image.Image | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    wraps: tuple[str, str] = ("repeat", "repeat")


def read_materials(names: Sequence[str], folder: Path) -> tuple[dict[str, Material], list[str]]:
    """Read the materials of some `mtllib` statements.

    Args:
        names: what follows the word mtllib in each, one file or several.
        folder: of the OBJ file; names are relative to it, in any case, with slashes of either kind.
    Returns:
        the materials by name; a later one replaces an earlier one. And notes on what could not be used.
    """
    materials: dict[str, Material] = {}
    notes: list[str] = []
    for name in names:
        whole = find_file(name, folder)  # a name may hold blanks
        for part in [name] if whole else without_comment(name).split():
            path = whole or find_file(part, folder)
            if path is None:
                notes.append(f"material file {part} not found: its colours are left out")
            else:
                _read_file(path, materials, notes)
    return materials, notes


def without_comment(text: str) -> str:
    """Cut a line before its first #, which a name may hold, too."""
    return text.split("#", 1)[0].strip()


def find_file(name: str, folder: Path) -> Path | None:
    """Find a file by the name in another file: with either slash, in any case, or beside it where a path is foreign.

    Returns None where there is none.
    """
    words = [word for word in name.strip().strip('"').replace("\\", "/").split("/") if word not in ("", ".")]
    for candidate in (words, words[-1:]):
        path = folder
        for word in candidate:
            path = path / word if word == ".." or (path / word).exists() else _in_any_case(path, word)
            if path is None:
                break
        if path is not None and path.is_file():
            return path
    return None


def _in_any_case(folder: Path, name: str) -> Path | None:
    if not folder.is_dir():
        return None
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() == name.lower()), None)


def _read_file(path: Path, materials: dict[str, Material], notes: list[str]) -> None:
    material = Material()  # of statements before the first newmtl
    for line in decode_text(path.read_bytes(), path).split("\n"):
        key, *words = line.split() or [""]
        if key.lower() == "newmtl":
            material = materials[line.split(maxsplit=1)[1].strip() if words else ""] = Material()
        elif key.lower() == "kd" and words and words[0] not in ("spectral", "xyz"):
            try:
                material.colour = 255 * np.clip([float(word) for word in (words[:3] * 3)[:3]], 0, 1).astype(np.float32)
            except ValueError:
                notes.append(f"material colour {line.strip()!r} of {path.name} is no colour: left out")
        elif key.lower() == "map_kd":
            _read_texture(words, path, material, notes)


def _read_texture(words: list[str], path: Path, material: Material, notes: list[str]) -> None:
    """Read a map_Kd statement, `[-option values]... file name`."""
    words = list(words)
    while words and words[0].lower() in _OPTIONS:
        option = words.pop(0).lower()
        values = []
        while words and len(values) < _OPTIONS[option] and (option not in ("-o", "-s", "-t") or is_number(words[0])):
            values.append(words.pop(0))
        if option in ("-o", "-s") and values:
            u, v = (float(value) for value in [*values, "0" if option == "-o" else "1"][:2])
            material.offset, material.scale = ((u, v), material.scale) if option == "-o" else (material.offset, (u, v))
        if option == "-clamp" and values and values[0].lower() == "on":
            material.wraps = ("clamp", "clamp")
    name = " ".join(words)
    found = find_file(name, path.parent) or find_file(without_comment(name), path.parent)
    if found is None:
        notes.append(f"texture {name} not found: left out")
        return
    try:
        material.texture = opaque_colours(open_view(found))
    except ValueError as error:
        notes.append(f"texture {name} left out: {error}")
