"""The reading of a shape for a packed file, by a worker process, from the trees or the published layout of views."""

import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from datasets.pairs.modelnet_views import CLASSES, ModelNetViews
from datasets.pairs.pair_tables import PAIRS, pairs_command, read_table
from datasets.pairs.pixel_pairs import PixelPairs
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_tree import TreeShape, list_shapes
from datasets.shapes.views import open_view, plain_colours

# Level 1 is about as small as PNG and decodes 2 to 4 times as fast: a view of 137 pixels takes Pillow 0.20 ms and zlib
# 0.05 ms. Higher levels save 20 % and take twice as long.
ZLIB_LEVEL = 1


class PackJob(Protocol):
    """A shape to pack; it is pickled alone, so it must be small."""

    name: str
    cloud: Path
    pictures: list[Path]
    has_pairs: bool

    def read_points(self) -> np.ndarray:
        """Read its cloud, (N, 3) float32; a ValueError or OSError names the file."""

    def read_pairs(self, num_points: int) -> PixelPairs:
        """Read its pairs, given the number of its points. Raises as `read_points`."""


class TreeJob(NamedTuple):
    """A shape of ROOT/ShapeNet and ROOT/ShapeNetRendering."""

    root: Path
    shape: TreeShape
    has_pairs: bool

    @property
    def name(self) -> str:
        return str(self.shape)

    @property
    def cloud(self) -> Path:
        return self.shape.cloud_path(self.root)

    @property
    def pictures(self) -> list[Path]:
        return [self.shape.view_folder(self.root) / name for name in self.shape.views]

    def read_points(self) -> np.ndarray:
        return read_points(self.cloud)

    @property
    def table(self) -> Path:
        return self.shape.render_folder(self.root) / PAIRS

    def read_pairs(self, num_points: int) -> PixelPairs:
        num_views, remedy = len(self.shape.views), pairs_command(self.root)
        return read_table(self.table, num_points=num_points, num_views=num_views, remedy=remedy)


class ViewedJob(NamedTuple):
    """A shape of the published layout, which each process lists once."""

    root: Path
    index: int
    has_pairs: bool = True

    @property
    def name(self) -> str:
        return str(_open_views(self.root).shapes[self.index])

    @property
    def cloud(self) -> Path:
        return Path(_open_views(self.root).cloud_name(self.index))

    @property
    def pictures(self) -> list[Path]:
        data = _open_views(self.root)
        return [Path(data.view_file(self.index, view)) for view in range(data.num_views(self.index))]

    def read_points(self) -> np.ndarray:
        return _open_views(self.root).read_points(self.index)

    def read_pairs(self, num_points: int) -> PixelPairs:
        return _open_views(self.root).read_pixel_pairs(self.index)


class PackList(NamedTuple):
    """The shapes to pack, and the names of those that are left out because they have no view."""

    jobs: list[PackJob]
    left_out: list[str]


def list_to_pack(root: Path) -> PackList:
    """List what there is to pack below a folder of either layout.

    Raises:
        FileNotFoundError: nothing. And what the readers raise.
    """
    if (root / CLASSES).is_file():
        _open_views.cache_clear()  # the files may have changed
        data = _open_views(root)
        return PackList([ViewedJob(root, index) for index in range(len(data))], data.left_out)
    return PackList(tree_jobs(root), [])


def tree_jobs(root: Path) -> list[TreeJob]:
    """List the shapes of trees, with pairs if all have them; none is a FileNotFoundError."""
    jobs = [TreeJob(root, shape, has_pairs=True) for shape in list_shapes(root)]
    return jobs if all(job.table.is_file() for job in jobs) else [job._replace(has_pairs=False) for job in jobs]


@lru_cache(maxsize=1)
def _open_views(root: Path) -> ModelNetViews:
    return ModelNetViews(root)


class PackedView(NamedTuple):
    """A view: its file name, deflated pixels and their (H, W, C)."""

    name: str
    pixels: bytes
    size: tuple[int, int, int]


class PackedShape(NamedTuple):
    """The data of one shape: its pairs deflated, and how many each view has; `faults` describes unreadable files."""

    name: str
    cloud: bytes
    views: list[PackedView]
    pairs: bytes
    pairs_per_view: list[int]
    faults: list[str]


def pack_shape(job: PackJob) -> PackedShape:
    """Read every file of one shape and collect the faults of all."""
    faults, views, pictures, cloud = [], [], job.pictures, b""
    pairs = PixelPairs(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros((0, 2), np.uint16))
    try:
        cloud = sound_points(job.read_points(), job.cloud).astype("<f4").tobytes()
        if job.has_pairs:
            pairs = job.read_pairs(len(cloud) // 12)
    except (ValueError, OSError) as error:
        faults.append(str(error))
    if not pictures:
        faults.append(f"{job.cloud}: no picture; render it or delete it")
    for path in pictures:
        try:
            pixels = np.asarray(plain_colours(open_view(path)))
            views.append(PackedView(path.name, zlib.compress(pixels.tobytes(), ZLIB_LEVEL), pixels.shape))
        except (ValueError, OSError) as error:
            faults.append(str(error))
    deflated = zlib.compress(pairs.point.astype("<i4").tobytes() + pairs.place.astype("<u2").tobytes(), ZLIB_LEVEL)
    return PackedShape(job.name, cloud, views, deflated, pairs.per_view.tolist(), faults)


def sound_points(points: np.ndarray, path: Path) -> np.ndarray:
    """Return a cloud of a file; one whose points all coincide is a ValueError."""
    if (points == points[0]).all():
        raise ValueError(f"{path}: all points coincide; make it again or delete it")
    return points
