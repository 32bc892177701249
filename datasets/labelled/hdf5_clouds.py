"""Reading of labelled clouds from HDF5 shards, checking every array."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from datasets.labels import SHAPENET_PART, PartCategory
from datasets.layouts import CLASS_NAMES
from datasets.precision import is_points_last, widened

_MAX_INFLATION = 1032  # the largest ratio of deflate


def find_shards(folders: Sequence[Path], patterns: Sequence[str], *, what: str, fix: str) -> list[Path]:
    """List the files matching any of `patterns` in the first of `folders` that holds one, sorted.

    Raises:
        FileNotFoundError: none does; the message names every folder and `fix`, the command to run.
    """
    for folder in folders:
        found = sorted({path for pattern in patterns for path in folder.glob(pattern)})
        if found:
            return found
    places = ", ".join(str(folder) for folder in folders)
    raise FileNotFoundError(f"no {what} ({' or '.join(patterns)}) in any of: {places}; run: {fix}")


def open_read_only(path: Path) -> h5py.File:
    """Open a file that nobody writes, also where the file system offers no locks, as on some network mounts.

    Raises:
        OSError: no such file, or damaged.
    """
    try:
        return h5py.File(path, "r")
    except OSError:
        return h5py.File(path, "r", locking=False)  # only as a fallback: a process cannot open a file both ways


@contextmanager
def open_shard(path: Path, keys: Sequence[str]) -> Iterator[h5py.File]:
    """Open an HDF5 file read-only and check that `keys` are numeric arrays; errors while reading it name the file."""
    try:
        with open_read_only(path) as file:
            missing = [key for key in keys if key not in file]
            if missing:
                raise ValueError(
                    f"{path} has no {' and no '.join(map(repr, missing))}; it holds {sorted(map(str, file))}, "
                    f"expected {list(keys)}; make or download it again"
                )
            for key in keys:
                if not isinstance(file[key], h5py.Dataset) or file[key].dtype.kind not in "iuf":
                    raise ValueError(f"{path}: {key} is no array of numbers ({file[key]}); make or download it again")
                if file[key].shape is None:
                    raise ValueError(f"{path}: {key} is empty; make or download it again")
                if file[key].is_virtual or file[key].external:
                    kind = "virtual" if file[key].is_virtual else "external"
                    raise ValueError(
                        f"{path}: {key} is a {kind} data set, whose numbers lie elsewhere: store them in it"
                    )
                if file[key].nbytes > _MAX_INFLATION * path.stat().st_size:
                    raise ValueError(
                        f"{path}: {key} announces {file[key].nbytes} bytes, more than a file of this size can hold; "
                        "make or download it again"
                    )
            yield file
    except FileNotFoundError:
        raise
    except (OSError, KeyError, RuntimeError, MemoryError) as error:  # h5py raises all of them for damaged bytes
        raise ValueError(f"{path} is not a readable HDF5 file ({error}); make or download it again") from error


def check_layout(file: h5py.File, path: Path) -> tuple[int, int]:
    """Check the shapes of `data`, also with points last, of `label` and, where present, of `pid`.

    Returns:
        Number of clouds M and number of points in each.
    Raises:
        ValueError: a shape differs from data (M, N, 3), label (M,) or (M, 1), pid (M, N).
    """
    data = file["data"].shape
    if len(data) == 3 and is_points_last(data):
        data = (data[0], data[2], data[1])
    if len(data) != 3 or data[2] != 3 or 0 in data:
        raise ValueError(f"{path}: data has shape {data}, expected (clouds, points, 3) with x, y, z last")
    num_clouds, num_points = data[:2]
    label = file["label"].shape
    if label not in ((num_clouds,), (num_clouds, 1)):
        raise ValueError(f"{path}: label has shape {label}, expected ({num_clouds},) or ({num_clouds}, 1)")
    if "pid" in file and file["pid"].shape != (num_clouds, num_points):
        raise ValueError(f"{path}: pid has shape {file['pid'].shape}, expected {(num_clouds, num_points)}")
    return num_clouds, num_points


def read_points(file: h5py.File, path: Path, num_points: int) -> np.ndarray:
    """Read the first `num_points` points of every cloud in file order, all finite.

    Shape: -> (M, num_points, 3) float32; float64 where the file holds it, so that a far cloud can be centred first.
    """
    stored = check_layout(file, path)[1]
    if not 1 <= num_points <= stored:
        raise ValueError(f"{path} holds {stored} points a cloud, {num_points} were asked for; pass 1 to {stored}")
    data = file["data"]
    points = data[:, :, :num_points].swapaxes(1, 2) if is_points_last(data.shape) else data[:, :num_points]
    points = widened(points)
    bad = np.flatnonzero(~np.isfinite(points).all(axis=(1, 2)))
    if len(bad):
        raise ValueError(
            f"{path}: {len(bad)} of {len(points)} clouds have points that are not finite (first: row {bad[0]}); "
            "make or download it again"
        )
    return points


def read_labels(file: h5py.File, path: Path, key: str, num_labels: int, *, fix: str) -> np.ndarray:
    """Read an array of whole numbers in [0, num_labels) as int64, in its stored shape without a trailing 1."""
    stored = file[key][:]
    labels = stored.astype(np.int64)
    if not np.array_equal(labels, stored):
        raise ValueError(f"{path}: {key} holds {stored.dtype} values that are not whole numbers; make it again")
    outside = np.argwhere((labels < 0) | (labels >= num_labels))
    if len(outside):
        row = int(outside[0][0])
        raise ValueError(
            f"{path}: {key} {labels[tuple(outside[0])]} in row {row} is outside 0 .. {num_labels - 1} "
            f"({len(outside)} such values); {fix}"
        )
    return labels[:, 0] if labels.shape[1:] == (1,) else labels


def read_part_labels(
    file: h5py.File,
    path: Path,
    categories: np.ndarray,
    table: Sequence[PartCategory] = SHAPENET_PART,
    *,
    fix: str = "make or download it again",
) -> np.ndarray:
    """Read part labels (M, N) int64, each a part of its cloud's category; categories (M,) are indices of `table`."""
    part_labels = read_labels(file, path, "pid", table[-1].part_labels.stop, fix=fix)
    first = np.array([category.part_labels.start for category in table])[categories][:, None]
    end = np.array([category.part_labels.stop for category in table])[categories][:, None]
    foreign = np.argwhere((part_labels < first) | (part_labels >= end))
    if len(foreign):
        row, point = foreign[0]
        category = table[categories[row]]
        raise ValueError(
            f"{path}: pid {part_labels[row, point]} in row {row} is no part of {category.name} "
            f"({category.part_labels.start} .. {category.part_labels.stop - 1}); {fix}"
        )
    return part_labels


def read_class_names(folders: Sequence[Path], published: tuple[str, ...]) -> tuple[str, ...]:
    """Read the lines of the first `shape_names.txt` in `folders`, or return the published names.

    Raises:
        ValueError: the file is not UTF-8, or names no class, or a class twice.
    """
    for folder in folders:
        path = folder / CLASS_NAMES
        if path.is_file():
            try:
                text = path.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError as error:
                raise ValueError(f"{path} is not text in UTF-8 ({error}): save it as UTF-8") from error
            names = tuple(line.strip() for line in text.split("\n") if line.strip())
            if not names or len(set(names)) != len(names):
                raise ValueError(f"{path} must hold one different class name a line, found {len(names)} lines")
            return names
    return published
