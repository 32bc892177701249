"""What was parsed from text files, kept so that they are parsed once."""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
_SOURCES = "sources"


class ParsedCache:
    """Named arrays by the names of shapes, each in `folder`/<name>.npz, or in memory where that cannot be written.

    What is kept is parsed again once a source has another size or time of change. Several processes may use one folder.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._memory: dict[str, Arrays] = {}

    def read(self, name: str, sources: Sequence[Path], wanted: Sequence[str], parse: Callable[[], Arrays]) -> list:
        """Return the arrays `wanted` of those that `parse` makes of the files `sources`.

        Raises:
            FileNotFoundError: a source is missing. And what `parse` raises.
        """
        state = np.array([f"{path.name} {(s := path.stat()).st_size} {s.st_mtime_ns}" for path in sources])
        kept = self._kept(name, state, wanted)
        if kept is None:
            kept = parse() | {_SOURCES: state}
            try:
                _write(self.folder / f"{name}.npz", kept)
            except OSError:
                self._memory[name] = kept
        return [kept[key] for key in wanted]

    def _kept(self, name: str, state: np.ndarray, wanted: Sequence[str]) -> Arrays | None:
        """Return what is kept of a shape, if it is of sources in this state."""
        arrays = self._memory.get(name)
        if arrays is None:
            try:
                with (self.folder / f"{name}.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                    arrays = {key: file[key] for key in (_SOURCES, *wanted)}
            except Exception:  # missing or damaged in one of a dozen ways: the text is parsed again
                return None
        return arrays if np.array_equal(arrays[_SOURCES], state) else None


def _write(path: Path, arrays: Arrays) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            np.savez_compressed(stream, **arrays)
        os.chmod(temporary, 0o644)  # mkstemp hides its files from other users
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
