"""Reading of furniture libraries of Sweet Home 3D: .sh3f files, zip archives of OBJ models and their catalogue.

Source: the comments of com.eteks.sweethome3d.io.DefaultFurnitureCatalog say what each key means.
"""

import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

CATALOGUE = "PluginFurnitureCatalog.properties"
_KEYS = ("name", "category", "creator", "model", "width", "depth", "height")
_PATH = re.compile(r"/?(\w[\w.-]*)/(\w[\w.-]*)/[\w.-]+\.obj")  # /<library>/<model>/<file>.obj


class Model(NamedTuple):
    """A model of a library."""

    name: str  # <folder of the library>/<folder of the model>, different for each model of all libraries
    title: str  # in English, as "Oak chair"
    category: str
    creator: str
    size_m: tuple[float, float, float]  # along x, y (up) and z, as the catalogue says
    rotation: np.ndarray  # (3, 3) float64, from the coordinates of the file to those in which y is up
    mesh: str  # the OBJ file and, sorted, the files beside it: members of the library
    files: tuple[str, ...]


class Library(NamedTuple):
    """A .sh3f file: its own words on its licence, where it is from, and its models in the order of the catalogue."""

    path: Path
    licence: str
    provider: str
    models: list[Model]


def read_library(path: Path) -> Library:
    """Read the catalogue of a .sh3f file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no zip archive with a catalogue, or the catalogue is damaged or names files it lacks.
    """
    with opened(path) as archive:
        members = sorted(name for name in archive.namelist() if not name.endswith("/"))
        if CATALOGUE not in members:
            raise ValueError(f"{path} has no {CATALOGUE}, so it is no furniture library")
        entries = parse_properties(archive.read(CATALOGUE).decode("latin-1"))
    numbers = sorted(int(key[3:]) for key in entries if re.fullmatch(r"id#\d+", key))
    beside = defaultdict(list)
    for member in members:
        beside[member.rpartition("/")[0]].append(member)
    models = [_model(path, entries, number, beside) for number in numbers]
    if not models:
        raise ValueError(f"{path}: its {CATALOGUE} lists no models; download it again")
    return Library(path, entries.get("license", ""), entries.get("provider", ""), models)


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a library; a damaged one, also where it shows only later, raises a ValueError that names the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path} is no zip archive, or damaged ({error}); download it again") from error


def parse_properties(text: str) -> dict[str, str]:
    r"""Parse lines `key=value` of a Java properties file; \ joins lines, \u20ac and \: stand for characters."""
    entries = {}
    for line in re.sub(r"\\\r?\n[ \t]*", "", text).splitlines():
        key, is_pair, value = line.partition("=")
        if is_pair and not key.lstrip().startswith(("#", "!")):
            entries[key.strip()] = re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", _character, value.strip())
    return entries


def _character(match: re.Match) -> str:
    return chr(int(match[1], 16)) if match[1] else {"t": "\t", "n": "\n", "r": "\r"}.get(match[2], match[2])


def _model(path: Path, entries: dict[str, str], number: int, beside: dict[str, list[str]]) -> Model:
    found = {key: entries.get(f"{key}#{number}") for key in _KEYS}
    missing = [key for key, value in found.items() if value is None]
    if missing:
        raise ValueError(f"{path}: model {number} of its {CATALOGUE} has no {', '.join(missing)}; download it again")
    place = _PATH.fullmatch(found["model"])
    mesh = found["model"].lstrip("/")
    files = beside[mesh.rpartition("/")[0]]
    if place is None or mesh not in files:
        raise ValueError(
            f"{path}: model {number} is {found['model']!r}, expected /<library>/<model>/<file>.obj in this archive"
        )
    rotation = entries.get(f"modelRotation#{number}", "1 0 0 0 1 0 0 0 1").split()
    try:
        width, depth, height = (round(float(found[key]) / 100, 6) for key in ("width", "depth", "height"))  # cm
        matrix = np.array([float(word) for word in rotation]).reshape(3, 3)
    except ValueError as error:
        raise ValueError(f"{path}: size or rotation of model {number} are no numbers ({error})") from error
    return Model(
        f"{place[1]}/{place[2]}",
        found["name"],
        found["category"],
        found["creator"],
        (width, height, depth),
        matrix,
        mesh,
        tuple(name for name in files if name != mesh),
    )
