"""Pre-training clouds and views in one HDF5 file, as `python -m data.pack` writes it, read item by item.

    points        (P, 3) float32    all clouds, one after the other
    pixels        (Q,) uint8        all views, each its (H, W, C) pixels deflated by zlib; C is 4 (RGBA), or 3 if opaque
    shape/name    (M,) bytes        "<synset>/<id>", sorted
    shape/points  (M + 1,) int64    cloud i is points[p[i]:p[i + 1]]
    shape/views   (M + 1,) int64    its views are v[i] .. v[i + 1] - 1
    shape/crc32   (M,) uint32       of the cloud's bytes
    view/name     (V,) bytes        file name
    view/pixels   (V + 1,) int64    view j is pixels[q[j]:q[j + 1]]
    view/size     (V, 3) int32      H, W, C

Attributes of the file: format, version, and the provenance of the packing. `points` and `pixels` are stored in one
piece, so an item is read at its place in the file, without HDF5: any number of processes may do so at once.
"""

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import h5py
import numpy as np

FORMAT, VERSION = "crosspoint-pairs", 1
PACK = "python -m data.pack ROOT --out"
INDEX = ("shape/name", "shape/points", "shape/views", "shape/crc32", "view/name", "view/pixels", "view/size")
T = TypeVar("T")
_POINT = np.dtype("<f4").itemsize * 3


class _Block(NamedTuple):
    """Where an array lies in the file, in bytes."""

    offset: int
    length: int


class PackedFile:
    """One such file; pickled and forked freely, every process reads through its own descriptor.

    Args:
        path: the file.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: damaged, cut short, of another kind, or of a version this code does not know.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._descriptor: int | None = None
        attributes, content = self._open(lambda file: (dict(file.attrs), sorted(file)))
        if attributes.get("format") != FORMAT:
            raise self._fault(f"was not written by data.pack, it holds {content}")
        if attributes.get("version") != VERSION:
            raise self._fault(f"has version {attributes.get('version')}, this code reads {VERSION}")
        self.provenance = {key: str(value) for key, value in attributes.items()}
        self._index = self._open(lambda file: {name: file[name][:] for name in INDEX})
        self._points, self._pixels = self._open(lambda file: [_block(file[name]) for name in ("points", "pixels")])
        self._check_index()
        self._signature = _signature(os.stat(self.path))

    def __len__(self) -> int:
        return len(self._index["shape/name"])

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_descriptor": None}

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            os.close(self._descriptor)

    @property
    def view_sizes(self) -> list[tuple[int, int]]:
        """Every (H, W) that occurs, sorted."""
        return [tuple(size) for size in np.unique(self._index["view/size"][:, :2], axis=0).tolist()]

    def name(self, shape: int) -> str:
        """`<synset>/<id>`."""
        return self._index["shape/name"][shape].decode(errors="replace")

    def num_points(self, shape: int) -> int:
        """Points of its cloud."""
        start, end = self._range("shape/points", shape)
        return end - start

    def num_views(self, shape: int) -> int:
        """Number of its views."""
        start, end = self._range("shape/views", shape)
        return end - start

    def view_name(self, shape: int, view: int) -> str:
        """File name of one view."""
        return self._index["view/name"][self._range("shape/views", shape)[0] + view].decode(errors="replace")

    def read_points(self, shape: int) -> np.ndarray:
        """Its cloud, (N, 3) float32.

        Raises:
            ValueError: the file is damaged, or is another one than when it was opened.
        """
        start, end = self._range("shape/points", shape)
        raw = self._read(self._points.offset + start * _POINT, (end - start) * _POINT)
        if zlib.crc32(raw) != self._index["shape/crc32"][shape]:
            raise self._fault(f"is damaged: the cloud of {self.name(shape)} has another checksum than when packed")
        return np.frombuffer(bytearray(raw), "<f4").reshape(-1, 3)

    def read_view(self, shape: int, view: int) -> np.ndarray:
        """One view, (H, W, C) uint8: RGBA, or RGB where the picture is opaque. Raises as `read_points`."""
        number = self._range("shape/views", shape)[0] + view
        start, end = self._range("view/pixels", number)
        height, width, channels = self._index["view/size"][number].tolist()
        try:
            pixels = zlib.decompress(self._read(self._pixels.offset + start, end - start))
            return np.frombuffer(pixels, np.uint8).reshape(height, width, channels)
        except (zlib.error, ValueError) as error:
            where = f"view {self.view_name(shape, view)} of {self.name(shape)}"
            raise self._fault(f"is damaged: {where} ({error})") from error

    def _range(self, name: str, row: int) -> tuple[int, int]:
        start, end = self._index[name][row : row + 2].tolist()
        return start, end

    def _read(self, offset: int, length: int) -> bytes:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            if _signature(os.fstat(self._descriptor)) != self._signature:
                raise ValueError(f"{self.path} was replaced while it was in use; start again")
        raw = os.pread(self._descriptor, length, offset)
        if len(raw) != length:
            raise self._fault("is cut short")
        return raw

    def _open(self, read: Callable[[h5py.File], T]) -> T:
        try:
            with h5py.File(self.path, "r") as file:
                return read(file)
        except FileNotFoundError:
            raise FileNotFoundError(f"no file {self.path}; make it: {PACK} {self.path}") from None
        except IsADirectoryError:
            raise IsADirectoryError(f"{self.path} is a folder, expected a file that data.pack wrote") from None
        except (OSError, KeyError, RuntimeError, AttributeError, TypeError, ValueError) as error:  # damage, in h5py
            raise self._fault(f"is damaged or no HDF5 file ({error})") from error

    def _check_index(self) -> None:
        """Every array has the length and every offset the place that the others ask for."""
        index = self._index
        num_shapes, num_views = len(index["shape/name"]), len(index["view/name"])
        ends = {
            "shape/points": (num_shapes, self._points.length / _POINT),
            "shape/views": (num_shapes, num_views),
            "view/pixels": (num_views, self._pixels.length),
        }
        for name, (rows, end) in ends.items():
            starts = index[name]
            if starts.shape != (rows + 1,) or starts[0] != 0 or starts[-1] != end or (np.diff(starts) <= 0).any():
                raise self._fault(f"is damaged: {name} does not fit the rest")
        if index["view/size"].shape != (num_views, 3) or index["shape/crc32"].shape != (num_shapes,) or not num_shapes:
            raise self._fault("is damaged: its arrays do not fit each other")

    def _fault(self, what: str) -> ValueError:
        return ValueError(f"{self.path} {what}; pack the data again: {PACK} {self.path} --overwrite")


def _block(dataset: h5py.Dataset) -> _Block:
    if dataset.chunks is not None or dataset.id.get_offset() is None:
        raise TypeError(f"{dataset.name} is not stored in one piece")
    return _Block(dataset.id.get_offset(), dataset.nbytes)


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
