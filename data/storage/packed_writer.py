"""Writing of a packed file: clouds and views of all shapes, read by several processes, in one HDF5 file."""

import os
import shlex
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import h5py
import numpy as np

from data.parallel import parallel_map
from data.storage.pack_jobs import PackJob, pack_shape
from datasets.pairs.packed_file import FORMAT, PLAIN, WITH_PAIRS, index_checksum
from utils.files import locked
from utils.run.provenance import provenance

_PIECE = 64 * 2**20


class Counts(NamedTuple):
    """Totals of a packed file."""

    shapes: int
    points: int
    views: int
    fewest_points: int
    pairs: int | None  # None: none are stored, because not all shapes have them


def write_packed(root: Path, jobs: Sequence[PackJob], out: Path, *, workers: int) -> Counts | list[str]:
    """Write `out` completely, or not at all.

    The work is done in a hidden folder beside it. What a kill leaves there the next run removes.

    Args:
        root: recorded as the origin.
        jobs: the shapes, all with pairs or none; at least one.
        workers: processes.
    Returns:
        The totals, or the faults that prevented writing.
    Raises:
        OSError: no space, or no permission. FileExistsError: another process is writing `out`.
    """
    out = out.resolve()  # replaces the target of a link, not the link
    has_pairs = jobs[0].has_pairs
    with _work_folder(out) as folder:
        points, pixels, pairs, whole = (folder / name for name in ("points", "pixels", "pairs", "whole.h5"))
        with points.open("wb") as clouds, pixels.open("wb") as views, pairs.open("wb") as tables:
            packed, faults = _gather(jobs, _Streams(clouds, views, tables), workers)
        if faults:
            return faults
        with h5py.File(whole, "w") as file:
            file.attrs.update(_origin(root, WITH_PAIRS if has_pairs else PLAIN))
            _copy(points, file, "points", np.dtype("<f4"), columns=3)
            _copy(pixels, file, "pixels", np.dtype(np.uint8))
            index = _index(packed)
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
    return Counts(len(jobs), sum(points_of), num_views, min(points_of), num_pairs)


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


def report_faults(faults: Sequence[str]) -> int:
    """Print the faults that prevented writing; return the exit status."""
    for fault in faults:
        print(f"FAULT: {fault}", file=sys.stderr)
    print(f"{len(faults)} faults, nothing written; repair these files or delete their shapes", file=sys.stderr)
    return 1


class _Entry(NamedTuple):
    """A shape's entry in the index; `views` are (name, size in bytes, (H, W, C)), `pairs` is in bytes."""

    name: str
    num_points: int
    crc32: int
    views: list[tuple[str, int, tuple[int, int, int]]]
    pairs: int
    pairs_per_view: list[int]


class _Streams(NamedTuple):
    """Open files of clouds, views and pairs."""

    clouds: BinaryIO
    pixels: BinaryIO
    pairs: BinaryIO


def _gather(jobs: Sequence[PackJob], streams: _Streams, workers: int) -> tuple[list[_Entry], list[str]]:
    """Append clouds, views and pairs of all shapes to three files; return the entries of the index, and faults."""
    entries, faults = [], []
    with parallel_map(workers) as run:
        for shape in run(pack_shape, jobs, "pack"):
            faults += shape.faults
            if faults:
                continue
            streams.clouds.write(shape.cloud)
            streams.pixels.writelines(view.pixels for view in shape.views)
            streams.pairs.write(shape.pairs)
            views = [(view.name, len(view.pixels), view.size) for view in shape.views]
            num_points, crc32 = len(shape.cloud) // 12, zlib.crc32(shape.cloud)
            entries.append(_Entry(shape.name, num_points, crc32, views, len(shape.pairs), shape.pairs_per_view))
    return entries, faults


def _index(entries: Sequence[_Entry]) -> dict[str, np.ndarray]:
    views = [view for entry in entries for view in entry.views]
    return {
        "shape/name": np.array([entry.name.encode() for entry in entries]),
        "shape/points": _starts([entry.num_points for entry in entries]),
        "shape/views": _starts([len(entry.views) for entry in entries]),
        "shape/crc32": np.array([entry.crc32 for entry in entries], np.uint32),
        "view/name": np.array([name.encode() for name, _, _ in views]),
        "view/pixels": _starts([length for _, length, _ in views]),
        "view/size": np.array([size for _, _, size in views], np.int32),
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
