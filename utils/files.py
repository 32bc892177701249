"""Files that are written whole or not at all."""

import errno
import fcntl
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: Path, write: Callable[[BinaryIO], object], previous: Path | None = None) -> None:
    """Let `write` fill a temporary file in the same folder, flush it to disk, then rename it over `path`.

    A kill or a full disk leaves the previous file as it was, and `path` is never missing in between.

    Args:
        previous: a name in the same folder under which the replaced file is kept.
    Raises:
        OSError: no room, no permission; also where `write` has made another exception of it, as torch.save does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    raw = _RememberingFile(descriptor, "wb")
    try:
        _fill(raw, write)
        os.chmod(temporary, 0o644)  # mkstemp hides its files from other users; results are for them too
        if previous is not None and path.exists():
            _keep(path, previous)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if raw.fault is not None:
            raise _for_people(raw.fault, path) from error
        raise


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name; where the file system has no hard links, another one."""
    link = path.with_name(f".{previous.name}.link")
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
        os.replace(link, previous)
    except OSError:
        os.replace(path, previous)


def _sync_folder(path: Path) -> None:
    """Flush what a folder says of its files' names to disk, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Keep other processes out of this block for the same `path`, by a lock file beside it that goes with the block.

    Args:
        wait: until the other process is done; otherwise a BlockingIOError is raised.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    while True:
        with lock.open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if not _is_file_of(lock, stream):  # the process before has removed it
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_file_of(path: Path, stream: IO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def remove_unfinished(folder: Path, *names: str) -> None:
    """Delete what a killed `write_atomically` of files of these names left in a folder."""
    for name in names:
        for path in folder.glob(f".{name}.*"):
            path.unlink(missing_ok=True)


class _RememberingFile(io.FileIO):
    """A file that remembers why a write to it failed."""

    fault: OSError | None = None

    def write(self, data: bytes) -> int:
        with self._remembered():
            return super().write(data)

    def sync(self) -> None:
        with self._remembered():
            os.fsync(self.fileno())

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.fault = error
            raise


def _fill(raw: _RememberingFile, write: Callable[[BinaryIO], object]) -> None:
    try:
        stream = io.BufferedWriter(raw)
        write(stream)
        stream.flush()
        raw.sync()
    finally:
        raw.close()  # without what the buffer may still hold: a full disk would not take it either


def _for_people(fault: OSError, path: Path) -> OSError:
    reason = fault.strerror or str(fault)
    if fault.errno in _NO_ROOM:
        reason += "; make room or choose another folder, then run again. Of the old file nothing is lost"
    return OSError(fault.errno, reason, str(path))


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


def read_npz(path: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an .npz file: all of them, or those of `names` that it has.

    Raises:
        OSError: no such file, no permission.
        ValueError: damaged, no such file, or pickled objects, which are not opened.
    """
    with path.open("rb") as stream:  # ours, because np.load leaves a damaged file open
        try:
            with np.load(stream, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in (arrays.files if names is None else names) if name in arrays}
        except Exception as error:  # numpy, zipfile and zlib raise a dozen types for damaged bytes
            raise ValueError(f"{path} is no .npz file without pickled objects ({error})") from error


def version(path: Path) -> tuple[int, ...] | None:
    """Return what tells a file from one that replaces it by renaming; None where there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def appears(path: Path, *, unlike: tuple[int, ...] | None, patience_s: float = 10) -> bool:
    """Wait for a file of another version, which another process may be writing; return whether it came."""
    end = time.monotonic() + patience_s
    while version(path) in (None, unlike):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
