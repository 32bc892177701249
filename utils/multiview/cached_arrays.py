"""Arrays that a teacher has computed of every shape, once for all later runs, in a folder named by what they are of.

index.json, written last, says what the arrays were computed from; its digest is the name of the folder.
"""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from torch import nn
from tqdm import tqdm

from datasets.pairs.render_pairs import RenderPairs
from utils.files import locked, write_text
from utils.processes.collectives import barrier, compute_on_main, gather_objects, is_main_process, rank_rows
from utils.training.data_order import order_parts

INDEX = "index.json"


class CachedArrays:
    """The arrays of a finished folder, opened in each process when first read; it may be pickled.

    Args:
        folder: as `find_or_compute` returns it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._arrays: dict[str, np.ndarray] = {}

    def __getstate__(self) -> dict:
        return {"folder": self.folder, "_arrays": {}}

    @property
    def teacher(self) -> str:
        """The SHA-256 of the teacher's weights."""
        return json.loads((self.folder / INDEX).read_text(encoding="utf-8"))["teacher"]

    def array(self, name: str) -> np.ndarray:
        """Return an array, read only.

        Raises:
            ValueError: it is damaged.
        """
        if name not in self._arrays:
            path = self.folder / f"{name}.npy"
            try:
                self._arrays[name] = open_memmap(path, "r")
            except (ValueError, FileNotFoundError) as error:
                raise ValueError(f"{path} is damaged ({error}); delete {self.folder}: it is computed again") from error
        return self._arrays[name]

    def unread(self) -> ValueError:
        """Return the error for a shape that could not be read when the arrays were computed."""
        return ValueError(f"it could not be read when the teacher saw the shapes; delete {self.folder} to try again")


def find_or_compute(
    parent: Path,
    describe: Callable[[], dict[str, Any]],
    compute: Callable[[Path], list[str]],
    what: str,
    report: Callable[[str], None],
) -> Path:
    """Find the folder of some arrays below `parent`, or let all ranks compute them.

    Args:
        describe: returns what the arrays are made from (JSON values), "teacher" among them; called on the main process
            alone, because copies of the data elsewhere may have other dates.
        compute: fills the arrays of a folder, each rank its own rows; returns what is wrong with the shapes left out.
        what: was computed, for the report.
        report: called with lines for people.
    """
    text = compute_on_main(lambda: {"text": json.dumps(describe(), indent=2) + "\n"})["text"]
    folder = parent / hashlib.sha256(text.encode()).hexdigest()[:16]
    with locked(folder) if is_main_process() else nullcontext():
        if compute_on_main(lambda: {"is_there": _is_whole(folder, text)})["is_there"]:
            report(f"teacher: features found in {folder}")
            return folder
        faults = compute(folder)
        barrier()
        if is_main_process():
            write_text(folder / INDEX, text)
        barrier()
    size = sum(path.stat().st_size for path in folder.glob("*.npy")) / 2**20
    report(f"teacher: features of {what}, computed into {folder}, {size:.0f} MiB")
    if faults := [fault for of_rank in gather_objects(faults) for fault in of_rank]:
        report(f"warning: the teacher could not see {len(faults)} shapes, first {faults[0]}")
    return folder


def _is_whole(folder: Path, text: str) -> bool:
    index = folder / INDEX
    return index.is_file() and index.read_text(encoding="utf-8") == text


def open_to_fill(folder: Path, layout: dict[str, tuple[tuple[int, ...], type]]) -> dict[str, np.ndarray]:
    """Make arrays on the main process and open them on all ranks, to be filled.

    Args:
        layout: shape and type by name.
    Raises:
        OSError: there is no room; the files are gone then.
    """
    paths = {name: folder / f"{name}.npy" for name in layout}
    if is_main_process():
        folder.mkdir(parents=True, exist_ok=True)
        for name, (shape, kind) in layout.items():
            open_memmap(paths[name], "w+", kind, shape).flush()
        _reserve(list(paths.values()))
    barrier()  # nobody fills what is not there yet
    return {name: open_memmap(path, "r+") for name, path in paths.items()}


def fill_rows(
    arrays: dict[str, np.ndarray],
    mark: str,
    read: Callable[[int], Any],
    put: Callable[[int, Any], None],
    *,
    unit: str,
    skips_bad: bool,
) -> list[str]:
    """Fill this rank's rows of some arrays; return what is wrong with those that could not be read.

    Args:
        arrays: of `open_to_fill`, all with a row for each thing that a teacher sees.
        mark: name of the array of numbers whose row is NaN where nothing could be read.
        read: what the teacher sees of a row; its ValueError or OSError says what is wrong, and with which file.
        put: lets the teacher see that, and sets the row of every array.
        unit: the name of what is seen, for the progress bar.
        skips_bad: leave out what cannot be read, instead of raising.
    """
    faults = []
    own = rank_rows(len(arrays[mark]))
    for row in tqdm(own, desc="teacher", unit=unit, disable=None if is_main_process() else True):
        try:
            seen = read(row)
        except (ValueError, OSError) as error:
            if not skips_bad:
                raise
            arrays[mark][row] = np.nan
            faults.append(str(error))
        else:
            put(row, seen)
    return faults


def _reserve(paths: list[Path]) -> None:
    """Take the room of files whose bytes are not on disk yet: writing to a mapped file on a full disk kills a process.

    Raises:
        OSError: there is not as much; the files are gone then.
    """
    if not hasattr(os, "posix_fallocate"):  # on macOS
        return
    size = sum(path.stat().st_size for path in paths)
    try:
        for path in paths:
            with path.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
    except OSError as error:
        for path in paths:
            path.unlink()
        words = f"{error.strerror}, {size / 2**20:.0f} MiB are needed; make room or pass another --teacher_cache"
        raise OSError(error.errno, words, str(paths[0])) from error


def digest_of_network(network: nn.Module) -> str:
    """Digest the names, shapes and values of all tensors of a network."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def digest_of_shapes(source: RenderPairs, num_views: int | None = None) -> str:
    """Digest the names of the shapes, and what tells whether their files have changed.

    Args:
        num_views: the first so many of each shape count; None: all.
    """
    digest = hashlib.sha256(b"".join(order_parts(source)))
    for index in range(len(source)):
        available = source.num_views(index)
        digest.update(source.stamp(index, available if num_views is None else min(num_views, available)).encode())
    return digest.hexdigest()
