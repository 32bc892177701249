"""Files written where there is no room: on a real small file system, and under the kernel's limit of a file's size."""

import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.own_mounts import CannotMount, mount_here
from tests.support.several_processes import run_in_own_process
from utils.files import write_npz, write_text
from utils.run.state import save_atomically

WRITERS = {
    "a.pt": lambda path, count: save_atomically({"weight": torch.zeros(count)}, path),
    "a.npz": lambda path, count: write_npz(path, noise=np.random.default_rng(0).random(count)),
    "a.txt": lambda path, count: write_text(path, "x" * count),
}


def refusals(folder: Path, is_limited: bool = False) -> list[str]:
    """Write FOLDER/a.* of a size that fits, then of one that does not; return the messages of the latter.

    Args:
        is_limited: limit this process's files to 100 kB, rather than find a full disk.
    """
    for name, write in WRITERS.items():
        write(folder / name, 100)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    messages = []
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000 if is_limited else soft, hard))
        for name, write in WRITERS.items():
            with pytest.raises(OSError, match="make room") as caught:
                write(folder / name, 1_000_000)
            messages.append(str(caught.value))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    return messages


def refusals_of_a_full_disk(folder: Path) -> list[str]:
    """Do it on a file system of 200 kB."""
    mount_here("-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder))
    return refusals(folder)


MESSAGE = "; make room or choose another folder, then run again. Of the old file nothing is lost: "


def expected(reason, folder):
    return [f"{reason}{MESSAGE}'{folder / name}'" for name in ("a.pt", "a.npz", "a.txt")]


def test_a_file_that_grows_too_large_leaves_the_old_one_and_no_other(tmp_path):
    assert refusals(tmp_path, is_limited=True) == expected("[Errno 27] File too large", tmp_path)


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path):
    try:
        messages = run_in_own_process(refusals_of_a_full_disk, tmp_path)
    except CannotMount as error:
        pytest.skip(str(error))
    assert messages == expected("[Errno 28] No space left on device", tmp_path)
    assert list(tmp_path.iterdir()) == []  # the file system was the process's own
