"""Sources of the samples of shards, the trees of a folder or a packed file, and the encoding of samples."""

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

_VIEWS = 0x5649  # keeps this random stream apart from that of the order of shapes


class Task(Protocol):
    """The reading of one sample in a worker process; it is pickled alone, so it must be small."""

    def read(self) -> tuple[np.ndarray, np.ndarray, str]:
        """Read cloud (N, 3) float32, view (H, W, C) uint8 and name "<synset>/<id> <view file>".

        Raises:
            ValueError, OSError: unreadable; the message names the file.
        """

    def stamp(self) -> str:
        """Name the files and their state: equal stamps mean equal samples.

        Raises:
            OSError: a file is missing.
        """


class SampleSource(ABC):
    """Shapes by number, each with a cloud and views."""

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
    """Reads two files of the trees."""

    cloud: Path
    view: Path
    name: str

    def read(self) -> tuple[np.ndarray, np.ndarray, str]:
        return read_sound_points(self.cloud), np.asarray(plain_colours(open_view(self.view))), self.name

    def stamp(self) -> str:
        return f"{self.name} {_state_of(self.cloud)} {_state_of(self.view)}"


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
    """Reads from a packed file, which each process opens once."""

    path: Path
    shape: int
    view: int

    def read(self) -> tuple[np.ndarray, np.ndarray, str]:
        file = _open_packed(self.path)
        name = f"{file.name(self.shape)} {file.view_name(self.shape, self.view)}"
        return file.read_points(self.shape), file.read_view(self.shape, self.view), name

    def stamp(self) -> str:
        return f"{self.view} {_state_of(self.path)}"


class PackedSource(SampleSource):
    """Shapes of a packed file."""

    def __init__(self, path: Path):
        _open_packed.cache_clear()  # the file may have been replaced
        self.path, self.file = path, _open_packed(path)

    def __len__(self) -> int:
        return len(self.file)

    def num_views(self, shape: int) -> int:
        return self.file.num_views(shape)

    def task(self, shape: int, view: int) -> PackedTask:
        return PackedTask(self.path, shape, view)

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
    """A sample as stored in a shard: the bytes of three tar members, and the numbers that the index needs."""

    content: bytes
    num_points: int
    view_size: tuple[int, int, int]


def encode(numbered: tuple[int, Task]) -> Encoded | str:
    """Encode the sample of a (shape, task) pair, or return the error of its files."""
    shape, task = numbered
    try:
        points, pixels, name = task.read()
    except (ValueError, OSError) as error:
        return str(error)
    deflate = zlib.compressobj(ZLIB_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)  # no time, no name in its header
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
