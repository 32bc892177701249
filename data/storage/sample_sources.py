"""What shards are made of: the trees of a folder, or one packed file, read sample by sample."""

import io
import tarfile
import zlib
from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from data.storage.packed_writer import ZLIB_LEVEL, read_sound_points
from datasets.pairs.packed_file import PackedFile
from datasets.shapes.shape_tree import list_shapes
from datasets.shapes.views import open_view, plain_colours
from datasets.shards.shard_samples import NAME, POINTS, VIEW

_VIEWS = 0x5649  # seeds of the same numbers for another purpose than the order of shapes


class Task(Protocol):
    """What a process needs to read one sample; small when pickled, for it travels alone."""

    def read(self) -> tuple[np.ndarray, np.ndarray, str]:
        """(N, 3) float32, (H, W, C) uint8 and "<synset>/<id> <view file>".

        Raises:
            ValueError, OSError: unreadable; names the file.
        """


class SampleSource(ABC):
    """Clouds and views by number."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def num_views(self, shape: int) -> int: ...

    @abstractmethod
    def task(self, shape: int, view: int) -> Task:
        """The reading of one view and its cloud."""

    @abstractmethod
    def describe(self, shape: int) -> str:
        """Where a shape lies, for messages."""

    def fewest_views(self) -> int:
        """Of any shape.

        Raises:
            ValueError: a shape has none.
        """
        counts = [self.num_views(shape) for shape in range(len(self))]
        if min(counts) == 0:
            raise ValueError(f"{self.describe(counts.index(0))} has no picture; render it or delete it")
        return min(counts)


class TreeTask(NamedTuple):
    """Two files of the trees."""

    cloud: Path
    view: Path
    name: str

    def read(self) -> tuple[np.ndarray, np.ndarray, str]:
        return read_sound_points(self.cloud), np.asarray(plain_colours(open_view(self.view))), self.name


class TreeSource(SampleSource):
    """Shapes of ROOT/ShapeNet and ROOT/ShapeNetRendering."""

    def __init__(self, root: Path):
        self.root, self.shapes = root, list_shapes(root)

    def __len__(self) -> int:
        return len(self.shapes)

    def num_views(self, shape: int) -> int:
        return len(self.shapes[shape].views)

    def task(self, shape: int, view: int) -> TreeTask:
        entry = self.shapes[shape]
        file = entry.views[view]
        return TreeTask(entry.cloud_path(self.root), entry.view_folder(self.root) / file, f"{entry} {file}")

    def describe(self, shape: int) -> str:
        return str(self.shapes[shape].cloud_path(self.root))


class PackedTask(NamedTuple):
    """A place in a packed file, which each process opens once."""

    path: Path
    shape: int
    view: int

    def read(self) -> tuple[np.ndarray, np.ndarray, str]:
        file = _open_packed(self.path)
        name = f"{file.name(self.shape)} {file.view_name(self.shape, self.view)}"
        return file.read_points(self.shape), file.read_view(self.shape, self.view), name


class PackedSource(SampleSource):
    """Shapes of a file by data.pack."""

    def __init__(self, path: Path):
        _open_packed.cache_clear()  # it may be another file by now
        self.path, self.file = path, _open_packed(path)

    def __len__(self) -> int:
        return len(self.file)

    def num_views(self, shape: int) -> int:
        return self.file.num_views(shape)

    def task(self, shape: int, view: int) -> PackedTask:
        return PackedTask(self.path, shape, view)

    def describe(self, shape: int) -> str:
        return f"{self.file.name(shape)} in {self.path}"


@lru_cache(maxsize=1)
def _open_packed(path: Path) -> PackedFile:
    return PackedFile(path)


def view_of_pass(num_views: int, pass_index: int, seed: int, shape: int) -> int:
    """The view that a shape shows in a pass: they come in an order drawn from (seed, shape)."""
    return int(np.random.default_rng((_VIEWS, seed, shape)).permutation(num_views)[pass_index])


class Encoded(NamedTuple):
    """A sample as a shard stores it: the bytes of three files of a tar; what the index needs to know of it."""

    content: bytes
    num_points: int
    view_size: tuple[int, int, int]


def encode(numbered: tuple[int, Task]) -> Encoded | str:
    """The sample of a shape, or what is wrong with its files."""
    shape, task = numbered
    try:
        points, pixels, name = task.read()
    except (ValueError, OSError) as error:
        return str(error)
    deflate = zlib.compressobj(ZLIB_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)  # a gzip header without time and name
    contents = {
        POINTS: _npy(points.astype("<f4")),
        VIEW: deflate.compress(_npy(pixels)) + deflate.flush(),
        NAME: name.encode(errors="replace"),
    }
    checksum = 0
    for content in contents.values():
        checksum = zlib.crc32(content, checksum)
    key = f"{shape:010d}-{checksum:08x}"
    stored = b"".join(_tar_file(key + suffix, content) for suffix, content in contents.items())
    return Encoded(stored, len(points), pixels.shape)


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _tar_file(name: str, content: bytes) -> bytes:
    header = tarfile.TarInfo(name)  # no times, no owner
    header.size = len(content)
    return header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)
