"""Files written where there is no room: on a real small file system, and under the kernel's limit of a file's size."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import REPO

# Writes FOLDER/a.* of a size that fits, then of one that does not; `limit` is what stops the latter.
PROGRAM = """
import json, resource, signal, sys
from pathlib import Path
import numpy as np, torch
from utils.run.state import save_atomically
from utils.files import write_npz, write_text

WRITERS = {
    "a.pt": lambda path, count: save_atomically({"weight": torch.zeros(count)}, path),
    "a.npz": lambda path, count: write_npz(path, noise=np.random.default_rng(0).random(count)),
    "a.txt": lambda path, count: write_text(path, "x" * count),
}
folder = Path(sys.argv[1])
for name, write in WRITERS.items():
    write(folder / name, 100)
before = {path.name: path.read_bytes() for path in folder.iterdir()}
if sys.argv[2] == "limit":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
messages = []
for name, write in WRITERS.items():
    try:
        write(folder / name, 1_000_000)
    except OSError as error:
        messages.append(str(error))
assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, list(folder.iterdir())
print(json.dumps(messages))
"""
MESSAGE = "; make room or choose another folder, then run again. Of the old file nothing is lost: "
MOUNT = 'mount -t tmpfs -o size=200k tmpfs "$1" && exec "$2" -c "$3" "$1" none'


def run(*words):
    done = subprocess.run(words, cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def expected(reason, folder):
    return [f"{reason}{MESSAGE}'{folder / name}'" for name in ("a.pt", "a.npz", "a.txt")]


def test_a_file_that_grows_too_large_leaves_the_old_one_and_no_other(tmp_path):
    messages = run(sys.executable, "-c", PROGRAM, str(tmp_path), "limit")
    assert json.loads(messages) == expected("[Errno 27] File too large", tmp_path)


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path):
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    try:
        subprocess.run([*unshare, "mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    messages = run(*unshare, "bash", "-c", MOUNT, "bash", str(tmp_path), sys.executable, PROGRAM)
    assert json.loads(messages) == expected("[Errno 28] No space left on device", tmp_path)
