"""Reader of the HDF5 file of pre-training clouds and views that `python -m data.pack` writes.

    points        (P, 3) float32    all clouds, one after the other
    pixels        (Q,) uint8        all views, each its (H, W, C) pixels deflated by zlib; C is 4 (RGBA), or 3 if opaque
    shape/name    (M,) bytes        "<synset>/<id>", sorted
    shape/points  (M + 1,) int64    cloud i is points[p[i]:p[i + 1]]
    shape/views   (M + 1,) int64    its views are v[i] .. v[i + 1] - 1
    shape/crc32   (M,) uint32       of the cloud's bytes
    view/name     (V,) bytes        file name
    view/pixels   (V + 1,) int64    view j is pixels[q[j]:q[j + 1]]
    view/size     (V, 3) int32      H, W, C

Version 3 also holds which points are seen where, see PixelPairs; a file without them has version 2:

    pairs         (S,) uint8        of each shape the arrays point and place, one after the other, deflated by zlib
    shape/pairs   (M + 1,) int64    those of shape i are pairs[s[i]:s[i + 1]]
    view/pairs    (V + 1,) int64    view j has r[j + 1] - r[j] pairs

Attributes of the file: format, version, index_crc32 (over all arrays with a / in their name; shape/crc32 and zlib
protect the others), and the provenance of the packing. `points`, `pixels` and `pairs` are contiguous, so that an item
is read from its offset in the file without HDF5, by any number of processes at once.
"""

import os
import shlex
import zlib
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from datasets.labelled.hdf5_clouds import open_read_only
from datasets.pairs.pair_tables import pairs_command
from datasets.pairs.pixel_pairs import PixelPairs

FORMAT, PLAIN, WITH_PAIRS = "crosspoint-pairs", 2, 3  # versions without and with pairs
INDEX = ("shape/name", "shape/points", "shape/views", "shape/crc32", "view/name", "view/pixels", "view/size")
PAIR_INDEX = ("shape/pairs", "view/pairs")
_POINT = np.dtype("<f4").itemsize * 3


class _Block(NamedTuple):
    """Place of an array in the file, in bytes."""

    offset: int
    length: int


class PackedFile:
    """A packed file; it may be pickled and forked, and each process reads through its own descriptor.

    Args:
        path: the file.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: damaged, truncated, of another kind, or of a version this code does not know.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._descriptor: int | None = None
        self.provenance: dict[str, str] = {}
        signature = _signature(os.stat(self.path)) if self.path.is_file() else None
        content, arrays = self._open()
        if arrays is None and not self._is_ours():
            raise self._fault(f"was not written by data.pack, it holds {content}")
        if arrays is None:
            found = self.provenance.get("version")
            raise self._fault(f"has version {found}, this code reads {PLAIN} and {WITH_PAIRS}")
        self._index, self._points, self._pixels, self._pairs = arrays
        self._signature = _signature(os.stat(self.path))
        if self._signature != signature:
            raise self._replaced()
        self._check_index()

    def __len__(self) -> int:
        return len(self._index["shape/name"])

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_descriptor": None}

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            os.close(self._descriptor)

    @property
    def view_sizes(self) -> list[tuple[int, int]]:
        """Every (H, W) that occurs among the views, sorted."""
        return [tuple(size) for size in np.unique(self._index["view/size"][:, :2], axis=0).tolist()]

    @property
    def has_pairs(self) -> bool:
        """Whether the file holds pairs of pixels and points, of all its shapes."""
        return self._pairs is not None

    def name(self, shape: int) -> str:
        """Return the name `<synset>/<id>` of a shape."""
        return self._index["shape/name"][shape].decode(errors="replace")

    def num_points(self, shape: int) -> int:
        """Return the number of points of a shape's cloud."""
        start, end = self._range("shape/points", shape)
        return end - start

    def num_views(self, shape: int) -> int:
        """Return the number of a shape's views."""
        start, end = self._range("shape/views", shape)
        return end - start

    def view_name(self, shape: int, view: int) -> str:
        """Return the file name that a view had."""
        return self._index["view/name"][self._range("shape/views", shape)[0] + view].decode(errors="replace")

    def read_points(self, shape: int) -> np.ndarray:
        """Read a shape's cloud, (N, 3) float32.

        Raises:
            ValueError: the file is damaged, or has been replaced since it was opened.
        """
        start, end = self._range("shape/points", shape)
        raw = self._read(self._points.offset + start * _POINT, (end - start) * _POINT)
        if zlib.crc32(raw) != self._index["shape/crc32"][shape]:
            raise self._fault(f"is damaged: the cloud of {self.name(shape)} has another checksum than when packed")
        return np.frombuffer(bytearray(raw), "<f4").reshape(-1, 3)

    def read_view(self, shape: int, view: int) -> np.ndarray:
        """Read one view, (H, W, C) uint8: RGBA, or RGB where the picture is opaque. Raises as `read_points`."""
        number = self._range("shape/views", shape)[0] + view
        start, end = self._range("view/pixels", number)
        height, width, channels = self._index["view/size"][number].tolist()
        raw = self._read(self._pixels.offset + start, end - start)
        try:
            pixels = zlib.decompress(raw)
            return np.frombuffer(pixels, np.uint8).reshape(height, width, channels)
        except (zlib.error, ValueError) as error:
            where = f"view {self.view_name(shape, view)} of {self.name(shape)}"
            raise self._fault(f"is damaged: {where} ({error})") from error

    def view_checksum(self, shape: int, view: int) -> bytes:
        """Return the Adler-32 of a view's pixels, with which its zlib stream ends."""
        end = self._range("view/pixels", self._range("shape/views", shape)[0] + view)[1]
        return self._read(self._pixels.offset + end - 4, 4)

    def read_pairs(self, shape: int) -> PixelPairs:
        """Read which points of a shape's cloud are seen where in its views.

        Raises:
            ValueError: the file holds no pairs, or is damaged, or has been replaced since it was opened.
        """
        if self._pairs is None:
            tree = self.provenance.get("root")
            first = pairs_command(Path(tree)) if tree else "add pairs to its trees"
            raise self._fault(f"holds no pairs of pixels and points: {first}")
        start, end = self._range("shape/pairs", shape)
        raw = self._read(self._pairs.offset + start, end - start)
        view, last = self._range("shape/views", shape)
        starts = self._index["view/pairs"][view : last + 1]
        starts = starts - starts[0]
        try:
            stored = bytearray(zlib.decompress(raw))
            point = np.frombuffer(stored, "<i4", starts[-1])
            place = np.frombuffer(stored, "<u2", offset=point.nbytes).reshape(-1, 2)
        except (zlib.error, ValueError) as error:
            raise self._fault(f"is damaged: the pairs of {self.name(shape)} ({error})") from error
        pairs = PixelPairs(starts, point, place)
        fault = pairs.fault(self.num_points(shape), last - view)
        if fault:
            raise self._fault(f"is damaged: the pairs of {self.name(shape)}: {fault}")
        return pairs

    def _range(self, name: str, row: int) -> tuple[int, int]:
        start, end = self._index[name][row : row + 2].tolist()
        return start, end

    def _read(self, offset: int, length: int) -> bytes:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            if _signature(os.fstat(self._descriptor)) != self._signature:
                raise self._replaced()
        raw = os.pread(self._descriptor, length, offset)
        if len(raw) != length:
            raise self._fault("is cut short")
        return raw

    def _open(self) -> tuple[list[str], "_Arrays | None"]:
        """Read the attributes; return the names in the file and, if format and version are ours, its arrays."""
        try:
            with open_read_only(self.path) as file:
                self.provenance = {key: str(value) for key, value in file.attrs.items()}
                is_known = self._is_ours() and self.provenance.get("version") in (str(PLAIN), str(WITH_PAIRS))
                return sorted(file), _read_arrays(file) if is_known else None
        except FileNotFoundError:
            raise FileNotFoundError(f"no file {self.path}; make it: {pack_command(self.path)}") from None
        except IsADirectoryError:
            raise IsADirectoryError(f"{self.path} is a folder, expected a file that data.pack wrote") from None
        except (OSError, KeyError, RuntimeError, AttributeError, TypeError, ValueError) as error:  # damage, in h5py
            raise self._fault(f"is damaged or no HDF5 file ({error})") from error

    def _is_ours(self) -> bool:
        return self.provenance.get("format") == FORMAT

    def _check_index(self) -> None:
        """Check that lengths and offsets of the arrays agree with each other."""
        index = self._index
        num_shapes, num_views = len(index["shape/name"]), len(index["view/name"])
        ends = {
            "shape/points": (num_shapes, self._points.length / _POINT),
            "shape/views": (num_shapes, num_views),
            "view/pixels": (num_views, self._pixels.length),
        }
        if self._pairs is not None:
            ends["shape/pairs"] = (num_shapes, self._pairs.length)
        for name, (rows, end) in ends.items():
            starts = index[name]
            if starts.shape != (rows + 1,) or starts[0] != 0 or starts[-1] != end or (np.diff(starts) <= 0).any():
                raise self._fault(f"is damaged: {name} does not fit the rest")
        size = index["view/size"]
        if size.shape != (num_views, 3) or index["shape/crc32"].shape != (num_shapes,) or not num_shapes:
            raise self._fault("is damaged: its arrays do not fit each other")
        if self._pairs is not None and index["view/pairs"].shape != (num_views + 1,):
            raise self._fault("is damaged: view/pairs does not fit the rest")
        if str(index_checksum(index)) != self.provenance.get("index_crc32"):
            raise self._fault("is damaged: its index has another checksum than when packed")
        if (size < 1).any() or not np.isin(size[:, 2], (3, 4)).all():
            raise self._fault("is damaged: view/size holds what is no size of a picture")

    def _fault(self, what: str) -> ValueError:
        if self._is_ours():
            remedy = f"pack the data again: {pack_command(self.path, self.provenance.get('root'))} --overwrite"
        else:  # not ours: never offer to overwrite it
            remedy = f"name a file that data.pack wrote, or pack into a new one: {pack_command('NEW.h5')}"
        return ValueError(f"{self.path} {what}; {remedy}")

    def _replaced(self) -> ValueError:
        return ValueError(f"{self.path} was replaced while it was in use; start again")


def pack_command(out: str | Path, root: str | None = None) -> str:
    """Return the command that packs the trees below `root` into `out`."""
    return f"python -m data.pack {shlex.quote(root) if root else 'ROOT'} --out {shlex.quote(str(out))}"


def is_packed(path: Path) -> bool:
    """Return whether data.pack wrote this file, whatever its version and damage."""
    try:
        with open_read_only(path) as file:
            return str(file.attrs.get("format")) == FORMAT
    except (OSError, RuntimeError, TypeError, ValueError):
        return False


def index_checksum(index: dict[str, np.ndarray]) -> int:
    """Compute the CRC-32 over all arrays of INDEX, and of PAIR_INDEX where there are any."""
    checksum = 0
    for name in (*INDEX, *(name for name in PAIR_INDEX if name in index)):
        checksum = zlib.crc32(index[name].tobytes(), checksum)
    return checksum


class _Arrays(NamedTuple):
    """The index in memory, and the places of the large arrays."""

    index: dict[str, np.ndarray]
    points: _Block
    pixels: _Block
    pairs: _Block | None


def _read_arrays(file: h5py.File) -> _Arrays:
    has_pairs = str(file.attrs["version"]) == str(WITH_PAIRS)
    index = {name: file[name][:] for name in (*INDEX, *(PAIR_INDEX if has_pairs else ()))}
    pairs = _block(file["pairs"]) if has_pairs else None
    return _Arrays(index, _block(file["points"]), _block(file["pixels"]), pairs)


def _block(dataset: h5py.Dataset) -> _Block:
    if dataset.chunks is not None or dataset.id.get_offset() is None:
        raise TypeError(f"{dataset.name} is not stored in one piece")
    return _Block(dataset.id.get_offset(), dataset.nbytes)


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
