"""Pre-training pairs from the layout of selfsup_pcd (ACCV 2022): clouds and pairs as text, twelve views a shape.

    ROOT/modelnet_id.txt                          a class name and its number a line, with a tab between
    ROOT/<class>/train/<id>.txt                   x y z a line, z up
    ROOT/../ModelNet40_MV/<class>/train/<id>.off/
        view_<k>.png                              picture k
        pix_point_<k>.txt                         row, column and point of each of its pairs, on a 32 x 32 map

The published code reads points as (x, z, y), which mirrors the shape against its pictures; here they are turned. It
also keeps the first so many points of a cloud, though pairs name points behind them; here a cloud is read whole.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.pairs.parsed_cache import ParsedCache
from datasets.pairs.pixel_pairs import PixelPairs
from datasets.pairs.render_pairs import RenderPairs
from datasets.shapes.file_listing import is_hidden
from datasets.shapes.meshes import Z_UP_TO_Y_UP
from datasets.shapes.shape_folder import read_shape
from datasets.shapes.views import load_colours
from datasets.text_files import decode_text

CLASSES, VIEWS, SPLIT, CACHE = "modelnet_id.txt", "ModelNet40_MV", "train", ".crosspoint_cache"
MAP_SIZE = 32  # rows and columns that pairs count


class ViewedShape(NamedTuple):
    """A shape of the train split, and the numbers of its views that have a picture and pairs."""

    category: str
    shape_id: str
    views: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.category}/{self.shape_id}"


class ModelNetViews(RenderPairs):
    """Items of RenderPairs for the shapes of the train split, sorted by class and id; clouds are turned to y up.

    A view counts if its picture and its pairs are there, however few; a shape without any is left out. Text is parsed
    once, into .crosspoint_cache beside the folders of views, or into memory if that folder cannot be written.

    Attributes:
        shapes: those that are read.
        left_out: names of those without a view.
    """

    def __init__(self, root: str | Path, *, limit: int | None = None, **options) -> None:
        """
        Args, beside those of RenderPairs:
            root: the folder of clouds; that of views, ModelNet40_MV, lies beside it.
            limit: keep the first so many shapes; None keeps all.
        Raises:
            FileNotFoundError: no list of classes, no cloud, or no cloud with a view.
            ValueError: the list of classes is damaged or incomplete, or an argument is invalid.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1, got {limit}")
        self.root = Path(os.path.abspath(root))
        self.view_root = self.root.parent / VIEWS
        shapes = [shape for name in _read_classes(self.root) for shape in self._list_class(name)]
        if not shapes:
            raise FileNotFoundError(f"no clouds (<class>/{SPLIT}/<id>.txt) of the classes of {CLASSES} in {self.root}")
        self.left_out = [str(shape) for shape in shapes if not shape.views]
        self.shapes = [shape for shape in shapes if shape.views][:limit]
        if not self.shapes:
            raise FileNotFoundError(
                f"none of the {len(shapes)} clouds in {self.root} has a view: expected view_0.png and pix_point_0.txt "
                f"in {self._view_folder(shapes[0])}"
            )
        self._cache = ParsedCache(self.view_root / CACHE)
        super().__init__(**options)

    def __len__(self) -> int:
        return len(self.shapes)

    def name(self, index: int) -> str:
        return str(self.shapes[index])

    def files(self, index: int) -> str:
        return f"{self.cloud_name(index)} and {self._view_folder(self.shapes[index])}"

    def cloud_name(self, index: int) -> str:
        shape = self.shapes[index]
        return str(self.root / shape.category / SPLIT / f"{shape.shape_id}.txt")

    def view_file(self, index: int, view: int) -> str:
        shape = self.shapes[index]
        return str(self._view_folder(shape) / f"view_{shape.views[view]}.png")

    def num_views(self, index: int) -> int:
        return len(self.shapes[index].views)

    def read_points(self, index: int) -> np.ndarray:
        return self._read(index, "points")[0]

    def read_stored(self, index: int, view: int) -> np.ndarray:
        return np.asarray(load_colours(Path(self.view_file(index, view))))

    def read_pixel_pairs(self, index: int) -> PixelPairs:
        return PixelPairs(*self._read(index, *PixelPairs._fields))

    def find_view_size(self) -> tuple[int, int]:
        return tuple(self.read_stored(0, 0).shape[:2])

    def _list_class(self, name: str) -> list[ViewedShape]:
        folder = self.root / name / SPLIT
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        ids = [name.removesuffix(".txt") for name in names if name.endswith(".txt") and not is_hidden(name)]
        shapes = [ViewedShape(name, shape_id, ()) for shape_id in ids]
        return [shape._replace(views=_list_views(self._view_folder(shape))) for shape in shapes]

    def _view_folder(self, shape: ViewedShape) -> Path:
        return self.view_root / shape.category / SPLIT / f"{shape.shape_id}.off"

    def _read(self, index: int, *names: str) -> list[np.ndarray]:
        shape, cloud = self.shapes[index], Path(self.cloud_name(index))
        tables = [self._view_folder(shape) / f"pix_point_{number}.txt" for number in shape.views]

        def parse() -> dict[str, np.ndarray]:
            points = read_shape(cloud) @ Z_UP_TO_Y_UP[:3, :3].T.astype(np.float32)
            pairs = PixelPairs.of_views([_read_pairs(path, len(points)) for path in tables])
            return {"points": points} | pairs._asdict()

        return self._cache.read(str(shape), [cloud, *tables], names, parse)


def _lines(path: Path) -> list[str]:
    return [line for line in decode_text(path.read_bytes(), path).split("\n") if line.strip()]


def _read_classes(root: Path) -> list[str]:
    """Read the names of classes, sorted."""
    path = root / CLASSES
    try:
        lines = [line.split("\t") for line in _lines(path)]
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no {path}, which names the classes, a name and a number a line with a tab between; pass the folder of "
            "clouds that holds it"
        ) from None
    wrong = [line for line in lines if len(line) != 2 or not line[1].strip().isdecimal()]
    if wrong:
        raise ValueError(f"{path}: expected a name, a tab and a number a line, found {wrong[0]}")
    names = sorted(line[0].strip() for line in lines)
    others = sorted({folder.parent.name for folder in root.glob(f"*/{SPLIT}")} - set(names))
    if others:
        raise ValueError(f"{path} does not name {', '.join(others)}, of which {root} has clouds; add a line for each")
    return names


def _list_views(folder: Path) -> tuple[int, ...]:
    """List the numbers of views with a picture and pairs, sorted."""
    names = set(os.listdir(folder)) if folder.is_dir() else set()
    numbers = [name.removeprefix("view_").removesuffix(".png") for name in names]
    canonical = [int(number) for number in numbers if number.isdecimal() and str(int(number)) == number]
    return tuple(sorted(k for k in canonical if names >= {f"view_{k}.png", f"pix_point_{k}.txt"}))


def _read_pairs(path: Path, num_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Read the points of a view's pairs, (R,) int, and where they are seen, (R, 2), the middle of their cells."""
    lines = [line.split() for line in _lines(path)]
    try:
        rows = np.array(lines, dtype=np.float64).reshape(len(lines), 3)  # numpy writes whole numbers as 1.0e+01 too
    except ValueError as error:
        raise ValueError(f"{path}: expected three whole numbers a line: row, column, point ({error})") from error
    limits = np.array([MAP_SIZE, MAP_SIZE, num_points])
    bad = np.flatnonzero(~((rows >= 0) & (rows < limits) & (rows == np.floor(rows))).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{path}: pair {bad[0] + 1} is {' '.join(lines[bad[0]])}, expected a row and a column below {MAP_SIZE} and "
            f"a point below {num_points}, the number of points of its cloud; make the file again or delete it"
        )
    return rows[:, 2].astype(np.int64), (rows[:, :2] + 0.5) / MAP_SIZE
