"""Writing of a packed file: clouds and views of all shapes, read by several processes, in one HDF5 file."""

import os
import shlex
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import h5py
import numpy as np

from data.parallel import parallel_map
from datasets.pairs.packed_file import FORMAT, PLAIN, WITH_PAIRS, index_checksum
from datasets.pairs.pair_tables import PAIRS, pairs_command, read_table
from datasets.pairs.pixel_pairs import PixelPairs
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
    pairs: int | None  # None: none are stored, because not all shapes have them


class PackedView(NamedTuple):
    """A view: deflated pixels and their (H, W, C)."""

    pixels: bytes
    size: tuple[int, int, int]


class PackedShape(NamedTuple):
    """The data of one shape: its pairs deflated, and how many each view has; the files that could not be read."""

    cloud: bytes
    views: list[PackedView]
    pairs: bytes
    pairs_per_view: list[int]
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
        points, pixels, pairs, whole = (folder / name for name in ("points", "pixels", "pairs", "whole.h5"))
        has_pairs = all((shape.render_folder(root) / PAIRS).is_file() for shape in shapes)
        with points.open("wb") as clouds, pixels.open("wb") as views, pairs.open("wb") as tables:
            pack_one = partial(pack_shape, root, with_pairs=has_pairs)
            packed, faults = _gather(pack_one, shapes, _Streams(clouds, views, tables), workers)
        if faults:
            return faults
        with h5py.File(whole, "w") as file:
            file.attrs.update(_origin(root, WITH_PAIRS if has_pairs else PLAIN))
            _copy(points, file, "points", np.dtype("<f4"), columns=3)
            _copy(pixels, file, "pixels", np.dtype(np.uint8))
            index = _index(shapes, packed)
            if has_pairs:
                _copy(pairs, file, "pairs", np.dtype(np.uint8))
                index |= _pair_index(packed)
            file.attrs["index_crc32"] = index_checksum(index)
            for name, values in index.items():
                file[name] = values
        with whole.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(whole, out)
    points_of = [shape.num_points for shape in packed]
    num_views = sum(len(shape.views) for shape in packed)
    num_pairs = sum(sum(shape.pairs_per_view) for shape in packed) if has_pairs else None
    return Counts(len(shapes), sum(points_of), num_views, min(points_of), num_pairs)


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


def pack_shape(root: Path, shape: TreeShape, *, with_pairs: bool) -> PackedShape:
    """Read every file of one shape and collect the faults of all."""
    faults, views, cloud = [], [], b""
    pairs = PixelPairs(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros((0, 2), np.uint16))
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
    if with_pairs and cloud:
        path, remedy = shape.render_folder(root) / PAIRS, pairs_command(root)
        try:
            pairs = read_table(path, num_points=len(cloud) // 12, num_views=len(shape.views), remedy=remedy)
        except (ValueError, OSError) as error:
            faults.append(str(error))
    deflated = zlib.compress(pairs.point.astype("<i4").tobytes() + pairs.place.astype("<u2").tobytes(), ZLIB_LEVEL)
    return PackedShape(cloud, views, deflated, pairs.per_view.tolist(), faults)


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
    """A shape's entry in the index; `views` are (size in bytes, (H, W, C)), `pairs` bytes of its pairs."""

    num_points: int
    crc32: int
    views: list[tuple[int, tuple[int, int, int]]]
    pairs: int
    pairs_per_view: list[int]


class _Streams(NamedTuple):
    """Open files of clouds, views and pairs."""

    clouds: BinaryIO
    pixels: BinaryIO
    pairs: BinaryIO


def _gather(
    pack_one: Callable[[TreeShape], PackedShape], shapes: Sequence[TreeShape], streams: _Streams, workers: int
) -> tuple[list[_Entry], list[str]]:
    """Append clouds, views and pairs of all shapes to three files; return the entries of the index, and faults."""
    entries, faults = [], []
    with parallel_map(workers) as run:
        for shape in run(pack_one, shapes, "pack"):
            faults += shape.faults
            if faults:
                continue
            streams.clouds.write(shape.cloud)
            streams.pixels.writelines(view.pixels for view in shape.views)
            streams.pairs.write(shape.pairs)
            views = [(len(view.pixels), view.size) for view in shape.views]
            crc32 = zlib.crc32(shape.cloud)
            entries.append(_Entry(len(shape.cloud) // 12, crc32, views, len(shape.pairs), shape.pairs_per_view))
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


def _pair_index(entries: Sequence[_Entry]) -> dict[str, np.ndarray]:
    return {
        "shape/pairs": _starts([entry.pairs for entry in entries]),
        "view/pairs": _starts([count for entry in entries for count in entry.pairs_per_view]),
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


def _origin(root: Path, version: int) -> dict[str, str | int]:
    command = shlex.join(sys.argv)
    return {"format": FORMAT, "version": version, "root": str(root.resolve()), "command": command} | provenance()
