"""Writing of a packed file: clouds and views of all shapes, read by several processes, in one HDF5 file."""

import os
import shlex
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import h5py
import numpy as np

from data.parallel import parallel_map
from datasets.pairs.packed_file import FORMAT, VERSION, index_checksum
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_tree import TreeShape
from datasets.shapes.views import open_view, plain_colours
from utils.files import locked
from utils.run.provenance import provenance

# Level 1 is about as small as PNG and decodes 2 to 4 times as fast: a view of 137 pixels takes Pillow 0.20 ms and zlib
# 0.05 ms. Higher levels save 20 % and take twice as long.
ZLIB_LEVEL = 1
_PIECE = 64 * 2**20


class Counts(NamedTuple):
    """Totals of a packed file."""

    shapes: int
    points: int
    views: int
    fewest_points: int


class PackedView(NamedTuple):
    """A view: deflated pixels and their (H, W, C)."""

    pixels: bytes
    size: tuple[int, int, int]


class PackedShape(NamedTuple):
    """The data of one shape; `faults` describes the files that could not be read."""

    cloud: bytes
    views: list[PackedView]
    faults: list[str]


def write_packed(root: Path, shapes: Sequence[TreeShape], out: Path, *, workers: int) -> Counts | list[str]:
    """Write `out` completely, or not at all.

    The work is done in a hidden folder beside it. What a kill leaves there the next run removes.

    Returns:
        The totals, or the faults that prevented writing.
    Raises:
        OSError: no space, or no permission. FileExistsError: another process is writing `out`.
    """
    out = out.resolve()  # replaces the target of a link, not the link
    with _work_folder(out) as folder:
        points, pixels, whole = (folder / name for name in ("points", "pixels", "whole.h5"))
        with points.open("wb") as clouds, pixels.open("wb") as views:
            packed, faults = _gather(root, shapes, clouds, views, workers)
        if faults:
            return faults
        with h5py.File(whole, "w") as file:
            file.attrs.update(_origin(root))
            _copy(points, file, "points", np.dtype("<f4"), columns=3)
            _copy(pixels, file, "pixels", np.dtype(np.uint8))
            index = _index(shapes, packed)
            file.attrs["index_crc32"] = index_checksum(index)
            for name, values in index.items():
                file[name] = values
        with whole.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(whole, out)
    points_of = [shape.num_points for shape in packed]
    return Counts(len(shapes), sum(points_of), sum(len(shape.views) for shape in packed), min(points_of))


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """Make an empty folder beside `out`, for this process alone, and remove it at the end."""
    folder = out.with_name(f".{out.name}.unfinished")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(out, wait=False))
        except BlockingIOError:
            raise FileExistsError(f"another data.pack is writing {out}; wait for it, or end it") from None
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder


def pack_shape(root: Path, shape: TreeShape) -> PackedShape:
    """Read every file of one shape and collect the faults of all."""
    faults, views, cloud = [], [], b""
    try:
        cloud = read_sound_points(shape.cloud_path(root)).astype("<f4").tobytes()
    except (ValueError, OSError) as error:
        faults.append(str(error))
    if not shape.views:
        faults.append(f"{shape.cloud_path(root)}: no picture in {shape.view_folder(root)}")
    for name in shape.views:
        try:
            pixels = np.asarray(plain_colours(open_view(shape.view_folder(root) / name)))
            views.append(PackedView(zlib.compress(pixels.tobytes(), ZLIB_LEVEL), pixels.shape))
        except (ValueError, OSError) as error:
            faults.append(str(error))
    return PackedShape(cloud, views, faults)


def report_faults(faults: Sequence[str]) -> int:
    """Print the faults that prevented writing; return the exit status."""
    for fault in faults:
        print(f"FAULT: {fault}", file=sys.stderr)
    print(f"{len(faults)} faults, nothing written; repair these files or delete their shapes", file=sys.stderr)
    return 1


def read_sound_points(path: Path) -> np.ndarray:
    """Read a cloud, (N, 3) float32, and check that its points do not all coincide.

    Raises:
        ValueError: it is unreadable, or they do.
    """
    points = read_points(path)
    if (points == points[0]).all():
        raise ValueError(f"{path}: all points coincide; make it again or delete it")
    return points


class _Entry(NamedTuple):
    """A shape's entry in the index; `views` are (size in bytes, (H, W, C))."""

    num_points: int
    crc32: int
    views: list[tuple[int, tuple[int, int, int]]]


def _gather(
    root: Path, shapes: Sequence[TreeShape], clouds: BinaryIO, pixels: BinaryIO, workers: int
) -> tuple[list[_Entry], list[str]]:
    """Append clouds and views of all shapes to two files; return the entries of the index, and faults."""
    entries, faults = [], []
    with parallel_map(workers) as run:
        for shape in run(partial(pack_shape, root), shapes, "pack"):
            faults += shape.faults
            if faults:
                continue
            clouds.write(shape.cloud)
            pixels.writelines(view.pixels for view in shape.views)
            views = [(len(view.pixels), view.size) for view in shape.views]
            entries.append(_Entry(len(shape.cloud) // 12, zlib.crc32(shape.cloud), views))
    return entries, faults


def _index(shapes: Sequence[TreeShape], entries: Sequence[_Entry]) -> dict[str, np.ndarray]:
    views = [view for entry in entries for view in entry.views]
    return {
        "shape/name": np.array([str(shape).encode() for shape in shapes]),
        "shape/points": _starts([entry.num_points for entry in entries]),
        "shape/views": _starts([len(entry.views) for entry in entries]),
        "shape/crc32": np.array([entry.crc32 for entry in entries], np.uint32),
        "view/name": np.array([name.encode() for shape in shapes for name in shape.views]),
        "view/pixels": _starts([length for length, _ in views]),
        "view/size": np.array([size for _, size in views], np.int32),
    }


def _starts(lengths: Sequence[int]) -> np.ndarray:
    """Compute the start of each of consecutive pieces and the end of the last one."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _copy(source: Path, file: h5py.File, name: str, dtype: np.dtype, columns: int = 1) -> None:
    """Copy a binary file into a contiguous dataset."""
    rows = source.stat().st_size // (dtype.itemsize * columns)
    dataset = file.create_dataset(name, (rows, columns) if columns > 1 else (rows,), dtype)
    step = _PIECE // (dtype.itemsize * columns)
    with source.open("rb") as stream:
        for start in range(0, rows, step):
            values = np.fromfile(stream, dtype, min(step, rows - start) * columns)
            dataset[start : start + step] = values.reshape(-1, columns) if columns > 1 else values


def _origin(root: Path) -> dict[str, str | int]:
    command = shlex.join(sys.argv)
    return {"format": FORMAT, "version": VERSION, "root": str(root.resolve()), "command": command} | provenance()
