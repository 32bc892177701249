"""Sources of the samples of shards, the trees of a folder or a packed file, and the encoding of samples."""

import io
import tarfile
import zlib
from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from data.storage.pack_jobs import ZLIB_LEVEL, TreeJob, sound_points, tree_jobs
from datasets.pairs.packed_file import PackedFile
from datasets.pairs.pixel_pairs import PixelPairs
from datasets.shapes.views import open_view, plain_colours
from datasets.shards.shard_samples import NAME, POINTS, TABLE, VIEW, pack_pairs

_VIEWS = 0x5649  # keeps this random stream apart from that of the order of shapes


class Sample(NamedTuple):
    """Cloud (N, 3) float32, view (H, W, C) uint8, name "<synset>/<id> <view file>", and pairs of all views or None."""

    points: np.ndarray
    pixels: np.ndarray
    name: str
    pairs: PixelPairs | None


class Task(Protocol):
    """The reading of one sample in a worker process; it is pickled alone, so it must be small."""

    def read(self) -> Sample:
        """Read a sample.

        Raises:
            ValueError, OSError: unreadable; the message names the file.
        """

    def stamp(self) -> str:
        """Name the files and their state: equal stamps mean equal samples.

        Raises:
            OSError: a file is missing.
        """


class SampleSource(ABC):
    """Shapes by number, each with a cloud and views.

    Attributes:
        has_pairs: samples get pairs of pixels and points; at first where all shapes have them; may be set to False.
    """

    has_pairs: bool

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def num_views(self, shape: int) -> int: ...

    @abstractmethod
    def task(self, shape: int, view: int) -> Task:
        """Return the task that reads one view and its cloud."""

    @abstractmethod
    def describe(self, shape: int) -> str:
        """Name the place of a shape, for messages."""

    def fewest_views(self) -> int:
        """Return the smallest number of views of a shape; a shape without any is a ValueError."""
        counts = [self.num_views(shape) for shape in range(len(self))]
        if min(counts) == 0:
            raise ValueError(f"{self.describe(counts.index(0))} has no picture; render it or delete it")
        return min(counts)


class TreeTask(NamedTuple):
    """Reads the files of a shape and one of its views in the trees."""

    shape: TreeJob
    view: int

    @property
    def name(self) -> str:
        """Name of the sample."""
        return f"{self.shape.name} {self.shape.pictures[self.view].name}"

    def read(self) -> Sample:
        points = sound_points(self.shape.read_points(), self.shape.cloud)
        pixels = np.asarray(plain_colours(open_view(self.shape.pictures[self.view])))
        pairs = self.shape.read_pairs(len(points)) if self.shape.has_pairs else None
        return Sample(points, pixels, self.name, pairs)

    def stamp(self) -> str:
        files = [self.shape.cloud, self.shape.pictures[self.view]] + [self.shape.table] * self.shape.has_pairs
        return " ".join([self.name, *map(_state_of, files)])


class TreeSource(SampleSource):
    """Shapes of ROOT/ShapeNet and ROOT/ShapeNetRendering."""

    def __init__(self, root: Path):
        self.shapes = tree_jobs(root)
        self.has_pairs = self.shapes[0].has_pairs

    def __len__(self) -> int:
        return len(self.shapes)

    def num_views(self, shape: int) -> int:
        return len(self.shapes[shape].shape.views)

    def task(self, shape: int, view: int) -> TreeTask:
        return TreeTask(self.shapes[shape]._replace(has_pairs=self.has_pairs), view)

    def describe(self, shape: int) -> str:
        return str(self.shapes[shape].cloud)


class PackedTask(NamedTuple):
    """Reads from a packed file, which each process opens once."""

    path: Path
    shape: int
    view: int
    has_pairs: bool

    def read(self) -> Sample:
        file = _open_packed(self.path)
        name = f"{file.name(self.shape)} {file.view_name(self.shape, self.view)}"
        pairs = file.read_pairs(self.shape) if self.has_pairs else None
        return Sample(file.read_points(self.shape), file.read_view(self.shape, self.view), name, pairs)

    def stamp(self) -> str:
        return f"{self.view} {self.has_pairs} {_state_of(self.path)}"


class PackedSource(SampleSource):
    """Shapes of a packed file."""

    def __init__(self, path: Path):
        _open_packed.cache_clear()  # the file may have been replaced
        self.path, self.file = path, _open_packed(path)
        self.has_pairs = self.file.has_pairs

    def __len__(self) -> int:
        return len(self.file)

    def num_views(self, shape: int) -> int:
        return self.file.num_views(shape)

    def task(self, shape: int, view: int) -> PackedTask:
        return PackedTask(self.path, shape, view, self.has_pairs)

    def describe(self, shape: int) -> str:
        return f"{self.file.name(shape)} in {self.path}"


def _state_of(path: Path) -> str:
    state = path.stat()
    return f"{path} {state.st_size} {state.st_mtime_ns}"


@lru_cache(maxsize=1)
def _open_packed(path: Path) -> PackedFile:
    return PackedFile(path)


def view_of_pass(num_views: int, pass_index: int, seed: int, shape: int) -> int:
    """Choose a shape's view in a pass; passes follow an order of its views drawn from (seed, shape)."""
    return int(np.random.default_rng((_VIEWS, seed, shape)).permutation(num_views)[pass_index])


class Encoded(NamedTuple):
    """A sample as stored in a shard: the bytes of its tar members, and the numbers that the index needs."""

    content: bytes
    num_points: int
    view_size: tuple[int, int, int]
    pair_values: int


def encode(numbered: tuple[int, Task]) -> Encoded | str:
    """Encode the sample of a (shape, task) pair, or return the error of its files."""
    shape, task = numbered
    try:
        points, pixels, name, pairs = task.read()
    except (ValueError, OSError) as error:
        return str(error)
    contents = {
        POINTS: _npy(points.astype("<f4")),
        VIEW: _deflated(pixels),
        NAME: name.encode(errors="replace"),
    }
    table = np.zeros(0, "<i4")
    if pairs is not None:
        table = pack_pairs(pairs)
        contents[TABLE] = _deflated(table)
    checksum = 0
    for content in contents.values():
        checksum = zlib.crc32(content, checksum)
    key = f"{shape:010d}-{checksum:08x}"
    stored = b"".join(_tar_file(key + suffix, content) for suffix, content in contents.items())
    return Encoded(stored, len(points), pixels.shape, len(table))


def _deflated(array: np.ndarray) -> bytes:
    deflate = zlib.compressobj(ZLIB_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)  # no time, no name in its header
    return deflate.compress(_npy(array)) + deflate.flush()


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _tar_file(name: str, content: bytes) -> bytes:
    header = tarfile.TarInfo(name)  # no times, no owner
    header.size = len(content)
    return header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)
