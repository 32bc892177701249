"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file in the same folder, flush it to disk, then rename it over `path`.

    A kill or a full disk leaves the previous file as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)  # mkstemp hides its files from other users; results are for them too
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """`write_atomically` of text, as UTF-8."""
    write_atomically(path, lambda stream: stream.write(text.encode()))


def write_npz(path: Path, **arrays: ArrayLike) -> None:
    """`write_atomically` of named arrays, compressed, such that np.load reads them without pickle.

    Raises:
        ValueError: an array of Python objects; names become unicode by np.array(names).
    """
    objects = [name for name, array in arrays.items() if np.asarray(array).dtype.hasobject]
    if objects:
        raise ValueError(f"{path}: {', '.join(objects)} would be Python objects; give numbers or np.array of text")
    write_atomically(path, lambda stream: np.savez_compressed(stream, **arrays))
