"""Clouds of any files and folders, one after another, ready for a network: what could not be read is listed."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from datasets.labelled.hdf5_clouds import open_shard
from datasets.layouts import CLOUDS
from datasets.precision import is_points_last, to_float32
from datasets.shapes.file_listing import list_files
from datasets.shapes.shape_folder import is_mesh, list_shape_files, read_shape
from utils.evaluation.features import extract_features
from utils.inference.input_transform import InputTransform
from utils.settings import Settings, flag

HDF5_SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True)
class InputSettings(Settings):
    """How clouds from outside are brought into the form of the training clouds."""

    normalize: bool | None = flag(
        None, "centre each cloud and scale it to radius 1, or take it as it is (default: as the weights say)"
    )
    num_points: int | None = flag(
        None, "points of a cloud, a random subset where it has more (default: as in training)", at_least=1
    )
    z_up: bool = flag(False, "z is up in the files, as in most scans and CAD: turn it to y")
    seed: int = flag(0, "of the points drawn from surfaces and from large clouds")

    def transform(self, stored: Mapping[str, Any], *, is_pretrained: bool = False) -> InputTransform:
        """Choose the transform of weights that say `stored` of themselves; see `InputTransform.of_weights`."""
        given = {"normalize": self.normalize, "num_points": self.num_points, "is_z_up": self.z_up}
        return InputTransform.of_weights(stored, is_pretrained=is_pretrained, **given)


class ReadCloud(NamedTuple):
    """A cloud: where it comes from, how it was read, its points (N, 3) as they are in the file."""

    name: str
    how: str
    points: np.ndarray
    is_row: bool = False  # of a set, as evaluation programs read: its points are in random order


@dataclass
class Embedded:
    """Outputs (M, D) of a network, the clouds' names and how each was read.

    `failed` has a line for each file lost, `unlike` one for each cloud taken as it is in spite of its size.
    """

    values: list[np.ndarray] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    how: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)


def find_cloud_files(places: Sequence[str | Path]) -> tuple[list[Path], list[str]]:
    """List files and the contents of folders: clouds, meshes and HDF5 files, of a pre-training tree its clouds alone.

    Returns:
        the files, and a message for each folder that may not be read.
    Raises:
        FileNotFoundError: no such file or folder, or a folder without either.
    """
    found: list[Path] = []
    unreadable: list[str] = []
    for place in map(Path, places):
        if place.is_dir():
            found += _in_folder(place, unreadable)
        elif place.is_file():
            found.append(place)
        else:
            raise FileNotFoundError(f"no file or folder {place}")
    return found, unreadable


def _in_folder(folder: Path, unreadable: list[str]) -> list[Path]:
    if (folder / CLOUDS).is_dir():
        sys.stderr.write(f"note: {folder} is a pre-training tree: the clouds in its {CLOUDS}/ are read, nothing else\n")
        return [shape.path for shape in list_shape_files(folder)]
    hdf5 = list_files(folder, lambda path: path.suffix.lower() in HDF5_SUFFIXES).paths
    try:
        return sorted([*hdf5, *(shape.path for shape in list_shape_files(folder, unreadable))])
    except FileNotFoundError:
        if not hdf5:
            raise
        return hdf5


def read_clouds(path: Path, *, seed: int = 0) -> Iterator[ReadCloud]:
    """Read the clouds of a file: one of a mesh or a cloud, each row of `data` (M, N, 3) of an HDF5 file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: of another kind, or damaged; of a file of one cloud, also with points that are not finite.
    """
    if path.suffix.lower() not in HDF5_SUFFIXES:
        points = read_shape(path, seed=seed)
        how = f"{path.suffix.lower().lstrip('.')} {'mesh, surface sampled' if is_mesh(path) else 'cloud'}"
        yield ReadCloud(str(path), how, points)
        return
    with open_shard(path, ("data",)) as file:
        data = file["data"]
        is_turned = len(data.shape) == 3 and is_points_last(data.shape)
        if len(data.shape) != 3 or 0 in data.shape or data.shape[1 if is_turned else 2] != 3:
            raise ValueError(f"{path}: data has shape {data.shape}, expected (clouds, points, 3) with x, y, z last")
        for row in range(len(data)):
            points = data[row].T if is_turned else data[row]
            yield ReadCloud(f"{path}[{row}]", "row of hdf5", to_float32(points), is_row=True)


def run_network(
    network: nn.Module, files: Iterable[Path], transform: InputTransform, *, batch_size: int = 32, seed: int = 0
) -> Embedded:
    """Compute the output of every cloud, in order; a file that cannot be read is noted and left out.

    Args:
        network: points (B, N, 3) -> (B, D), on its device.
        batch_size: clouds per forward pass; clouds of unlike size are never in one.
        seed: of the surface samples and of the subsets.
    """
    result, waiting = Embedded(), []
    for path in files:
        try:
            for cloud in read_clouds(path, seed=seed):
                try:
                    points, words = transform(cloud.points, seed=None if cloud.is_row else seed)
                except ValueError as error:
                    result.failed.append(f"{cloud.name}: {error}")
                    continue
                if waiting and (len(waiting) == batch_size or len(waiting[0][0]) != len(points)):
                    _flush(network, waiting, result)
                waiting.append((points, cloud.name, f"{cloud.how}, {words}"))
                if reason := transform.unlike_training(points):
                    result.unlike.append(f"{cloud.name} {reason}")
        except (ValueError, OSError) as error:
            result.failed.append(str(error) if str(path) in str(error) else f"{path}: {error}")
    if waiting:
        _flush(network, waiting, result)
    return result


def _flush(network: nn.Module, waiting: list[tuple[np.ndarray, str, str]], result: Embedded) -> None:
    """Run the network on the clouds that wait, one by one where it refuses them together; note those it refuses."""
    points, names, how = zip(*waiting)
    try:
        result.values += list(extract_features(network, np.stack(points), batch_size=len(points)))
    except ValueError as error:  # fewer points than neighbours, or coordinates so large that a feature overflows
        if len(waiting) == 1:
            result.failed.append(f"{names[0]}: {error.__cause__ or error}")
        for cloud in waiting[:] if len(waiting) > 1 else []:
            _flush(network, [cloud], result)
    else:
        result.names += names
        result.how += how
    waiting.clear()


def report_failed(found: Embedded) -> int:
    """Name what was lost and warn of unlike clouds on stderr; return the exit status, 1 where anything was lost.

    Raises:
        ValueError: nothing is left.
    """
    for line in found.failed:
        sys.stderr.write(f"left out: {line}\n")
    if found.unlike:
        count = f"{len(found.unlike)} of {len(found.names)} clouds are not of the size of the training clouds"
        sys.stderr.write(f"warning: {count}, the first: {found.unlike[0]}; compare with --normalize\n")
    if not found.names:
        raise ValueError(f"no cloud could be read: {found.failed[0]}")
    return 1 if found.failed else 0
