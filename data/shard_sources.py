"""What shards are made of: the trees of a folder, or one packed file, read sample by sample."""

import io
import tarfile
import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.packing import ZLIB_LEVEL, read_sound_points
from datasets.packed_file import PackedFile
from datasets.shape_files import list_shapes
from datasets.shards.samples import NAME, POINTS, VIEW
from datasets.views import open_view, plain_colours

_VIEWS = 0x5649  # seeds of the same numbers for another purpose than the order of shapes


class SampleSource(ABC):
    """Clouds and views by number; picklable."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def num_views(self, shape: int) -> int: ...

    @abstractmethod
    def read(self, shape: int, view: int) -> tuple[np.ndarray, np.ndarray, str]:
        """(N, 3) float32, (H, W, C) uint8 and "<synset>/<id> <view file>".

        Raises:
            ValueError, OSError: unreadable; names the file.
        """

    def fewest_views(self) -> int:
        """Of any shape.

        Raises:
            ValueError: a shape has none.
        """
        counts = [self.num_views(shape) for shape in range(len(self))]
        if min(counts) == 0:
            raise ValueError(f"{self.describe(counts.index(0))} has no picture; render it or delete it")
        return min(counts)

    @abstractmethod
    def describe(self, shape: int) -> str:
        """Where it lies, for messages."""


class TreeSource(SampleSource):
    """Shapes of ROOT/ShapeNet and ROOT/ShapeNetRendering."""

    def __init__(self, root: Path):
        self.root, self.shapes = root, list_shapes(root)

    def __len__(self) -> int:
        return len(self.shapes)

    def num_views(self, shape: int) -> int:
        return len(self.shapes[shape].views)

    def read(self, shape: int, view: int) -> tuple[np.ndarray, np.ndarray, str]:
        entry = self.shapes[shape]
        pixels = np.asarray(plain_colours(open_view(entry.view_folder(self.root) / entry.views[view])))
        return read_sound_points(entry.cloud_path(self.root)), pixels, f"{entry} {entry.views[view]}"

    def describe(self, shape: int) -> str:
        return str(self.shapes[shape].cloud_path(self.root))


class PackedSource(SampleSource):
    """Shapes of a file by data.pack."""

    def __init__(self, path: Path):
        self.file = PackedFile(path)

    def __len__(self) -> int:
        return len(self.file)

    def num_views(self, shape: int) -> int:
        return self.file.num_views(shape)

    def read(self, shape: int, view: int) -> tuple[np.ndarray, np.ndarray, str]:
        name = f"{self.file.name(shape)} {self.file.view_name(shape, view)}"
        return self.file.read_points(shape), self.file.read_view(shape, view), name

    def describe(self, shape: int) -> str:
        return f"{self.file.name(shape)} in {self.file.path}"


class Encoded(NamedTuple):
    """A sample as a shard stores it: the bytes of three files of a tar; what the index needs to know of it."""

    content: bytes
    num_points: int
    view_size: tuple[int, int, int]


def encode(source: SampleSource, passage: int, seed: int, shape: int) -> Encoded | str:
    """The sample of one shape in one pass, or what is wrong with its files.

    The views of a shape are taken in an order drawn from (seed, shape), one in each pass.
    """
    views = np.random.default_rng((_VIEWS, seed, shape)).permutation(source.num_views(shape))
    try:
        points, pixels, name = source.read(shape, int(views[passage]))
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
