"""Writing of the furniture set: meshes by split and class, labelled clouds, sizes, licences and attribution."""

import csv
import io
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np

from data.furniture.class_table import SPLITS, ClassTable, Place
from data.furniture.library import Library, Model, opened
from data.parallel import Map
from data.procedural.hdf5_writers import write_modelnet40
from data.rendering.mesh_conversion import shape_rng
from datasets.shapes.meshes import load_mesh, sample_surface
from datasets.transforms.point_transforms import unit_sphere
from utils.files import write_text

RECORD = "furniture.json"
ATTRIBUTION = "attribution.csv"
LICENCES = "licences"
MESHES = "meshes"
NUM_POINTS = 2048

_TEXTS = (".txt", ".html")  # licences beside a model; in meshes/ text would be taken for clouds
_PAGE = re.compile(r"https?://(?:www\.)?blendswap\.com/blends?/(?:view/)?\d+")  # of a model, in its licence
_LICENCE = re.compile(r"Creative Commons (?:Zero|Attribution 3\.0)")  # as the same text names it
_UNCHANGED = "none but the name of the OBJ file"
_ROTATED = "vertices and normals rotated as the catalogue says, so that y is up; the OBJ file renamed"


class Item(NamedTuple):
    """A model, its library and its place in the set."""

    model: Model
    library: Library
    place: Place

    @property
    def path(self) -> str:
        """Its mesh below the set, in the layout of ShapeNetCore: <folder>/<class>/<model>/model.obj."""
        return f"{MESHES}/{self.place.split}/{self.place.class_name}/{self.model.name.replace('/', '_')}/model.obj"


class Sampled(NamedTuple):
    """Points (NUM_POINTS, 3) float32 of a mesh in the unit sphere, or the reason why it is refused."""

    points: np.ndarray | None
    refusal: str = ""


def write_set(out: Path, items: Sequence[Item], table: ClassTable, digests: dict[str, str], run: Map) -> list[str]:
    """Write the whole set into an empty folder.

    Args:
        items: sorted; rows of the clouds have their order.
        digests: sha256 of each library by its file name, to be recorded.
    Returns:
        A line for each model that is no usable mesh; its folder is removed.
    Raises:
        ValueError: a library is damaged.
    """
    for library in dict.fromkeys(item.library.path for item in items):
        with opened(library) as archive:
            _write_licence(out, library, archive)
            for item in items:
                if item.library.path == library:
                    _write_files(out, item, archive)
    jobs = [(out / item.path, item.model.name) for item in items]
    sampled = list(run(sample_mesh, jobs, "sample"))
    for item, result in zip(items, sampled):
        if result.points is None:
            shutil.rmtree((out / item.path).parent)
    kept = [(item, result.points) for item, result in zip(items, sampled) if result.points is not None]
    rows = _write_clouds(out, kept, table)
    _write_attribution(out, [item for item, _ in kept])
    refused = {item.model.name: result.refusal for item, result in zip(items, sampled) if result.points is None}
    models = [_entry(item, rows.get(item.model.name)) for item, _ in kept]
    record = {"libraries": digests, "refused": refused, "models": models}
    write_text(out / RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return [f"{name}: {reason}" for name, reason in refused.items()]


def sample_mesh(job: tuple[Path, str]) -> Sampled:
    """Sample the surface of a mesh; the points depend on the name of its model alone."""
    path, name = job
    try:
        points, _ = sample_surface(load_mesh(path), NUM_POINTS, shape_rng(0, *name.split("/")))
        return Sampled(unit_sphere(points))
    except ValueError as error:
        return Sampled(None, str(error).removeprefix(f"{path}: "))


def rotated(obj: bytes, rotation: np.ndarray) -> bytes:
    """Rotate the vertices and normals of an OBJ file by a matrix (3, 3); all other bytes stay.

    Damaged ones stay as well: the reader of meshes says what is wrong with them.
    """
    lines = obj.split(b"\n")
    for number, line in enumerate(lines):
        words = line.split()
        if len(words) < 4 or words[0] not in (b"v", b"vn"):
            continue
        try:
            turned = rotation @ [float(word) for word in words[1:4]]
        except ValueError:
            continue
        lines[number] = b" ".join([words[0], *(f"{value:.9g}".encode() for value in turned), *words[4:]])
    return b"\n".join(lines)


def _write_licence(out: Path, library: Path, archive: ZipFile) -> None:
    for name in archive.namelist():
        if "/" not in name and name.lower().startswith("license"):
            _write(out / LICENCES / library.stem / name, archive.read(name))


def _write_files(out: Path, item: Item, archive: ZipFile) -> None:
    """Write mesh, materials and textures of a model into its folder, and the licences among them into another."""
    mesh = archive.read(item.model.mesh)
    _write(out / item.path, mesh if _is_upright(item.model) else rotated(mesh, item.model.rotation))
    for member in item.model.files:
        path = PurePosixPath(member)
        is_text = path.suffix.lower() in _TEXTS
        folder = _licences(out, item) if is_text else (out / item.path).parent
        _write(folder / path.name, archive.read(member))


def _licences(out: Path, item: Item) -> Path:
    """Return the folder of what the package says of the licence of one model."""
    return out / LICENCES / item.library.path.stem / PurePosixPath(item.model.name).name


def _is_upright(model: Model) -> bool:
    return np.array_equal(model.rotation, np.eye(3))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_clouds(out: Path, kept: Sequence[tuple[Item, np.ndarray]], table: ClassTable) -> dict[str, int]:
    """Write the labelled clouds in ModelNet40's layout; return the row of each model in its split."""
    rows: dict[str, int] = {}
    for split in SPLITS:
        members = [(item, points) for item, points in kept if item.place.split == split]
        if not members:
            continue
        labels = np.array([table.class_names.index(item.place.class_name) for item, _ in members])
        clouds = np.stack([points for _, points in members])
        write_modelnet40(out, split, clouds, labels, table.class_names)
        rows |= {item.model.name: row for row, (item, _) in enumerate(members)}
    return rows


def _entry(item: Item, row: int | None) -> dict:
    model = item.model
    return {
        "name": model.name,
        "title": model.title,
        "category": model.category,
        "class": item.place.class_name,
        "split": item.place.split,
        "row": row,
        "mesh": item.path,
        "size_m": list(model.size_m),
    }


def _write_attribution(out: Path, items: Sequence[Item]) -> None:
    """Write who made each model, under which licence, where it is from, and what was changed.

    `licence` is what its library says, `own_licence` what a text beside the model says, which a few times differs.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["model", "title", "creator", "licence", "own_licence", "source", "licence_texts", "changes"])
    for item in items:
        library, model = item.library, item.model
        own = sorted(_licences(out, item).glob("*"))
        words = "\n".join(path.read_text("utf-8", errors="replace") for path in own)
        own_licence, page = ((pattern.findall(words) or [""])[0] for pattern in (_LICENCE, _PAGE))
        source = f"{page} in {library.path.name} of {library.provider}".lstrip()
        texts = [f"{LICENCES}/{library.path.stem}", *(path.relative_to(out).as_posix() for path in own)]
        changes = _UNCHANGED if _is_upright(model) else _ROTATED
        writer.writerow(
            [model.name, model.title, model.creator, library.licence, own_licence, source, "; ".join(texts), changes]
        )
    write_text(out / ATTRIBUTION, table.getvalue())
