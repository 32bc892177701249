"""Training and evaluation on data that cannot be written to."""

import fcntl
import os
import subprocess
import sys

import pytest

from datasets.labelled.modelnet40 import ModelNet40
from datasets.pairs.packed_file import PackedFile, is_packed
from tests.conftest import REPO
from tests.support.tiny_trees import pack, write_all

# Every program that reads data, on ROOT, which is mounted read-only; what they write goes to OUT.
PROGRAM = """
import sys, torch
from pathlib import Path
import train_crosspoint, train_partseg
from scripts import eval_fewshot, eval_svm, finetune_cls, retrieve
from tests.support.light_runs import light

root, out = sys.argv[1:]
try:
    Path(root, "new").touch()
except OSError as error:
    print("read-only:", error.strerror)
data = ["--data_root", root, "--device", "cpu", "--num_points", "64"]
runs = [*data, "--output_dir", out, "--num_workers", "0"]
small = ["--model", "pointnet", "--epochs", "1", "--batch_size", "3"]
images = ["--image_depth", "18", "--image_size", "32", "--eval_num_points", "64"]
tree = [*runs, *small, *images]
classes = ["--dataset", "modelnet40", *data]
weights = f"{out}/tree/models/best_model.pth"

def call(program, *flags):
    with light():
        program.main(program.parse_args([*flags]))
    print("done:", program.__name__)

call(train_crosspoint, *tree, "--exp_name", "tree", "--eval_freq", "0", "--num_workers", "1")
call(train_crosspoint, *tree, "--exp_name", "packed", "--eval_freq", "0", "--packed", f"{root}/shapenet_render.h5")
call(train_partseg, *runs, *small, "--exp_name", "parts")
call(finetune_cls, *classes, "--output_dir", out, "--exp_name", "classes", "--steps", "1", "--batch_size", "3",
     "--pretrained_path", weights, "--val_fraction", "0.4")
call(eval_svm, *classes, "--model_path", weights, "--protocol", "published")
call(eval_fewshot, *classes, "--model_path", weights, "--k_way", "2", "--m_shot", "1", "--n_query", "1",
     "--n_runs", "2")
call(retrieve, "--model_path", f"{out}/tree/last.pt", "--shapes", root, "--query", f"{root}/ShapeNet/02/a.ply",
     "--device", "cpu")
"""


@pytest.fixture
def root(tmp_path):
    """Every layout and a packed file."""
    folder = write_all(tmp_path / "data")
    pack(folder, folder / "shapenet_render.h5")
    return folder


def snapshot(folder):
    """Return size, time and inode of everything below a folder, by path."""
    stats = {path: path.stat() for path in folder.rglob("*")}
    return {path: (status.st_size, status.st_mtime_ns, status.st_ino) for path, status in stats.items()}


def test_every_program_runs_on_a_read_only_mount_and_leaves_no_trace(root, tmp_path):
    before = snapshot(root)
    inside = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -c "$3" "$1" "$4"'
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    try:
        subprocess.run([*unshare, "mount", "--bind", root, root], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no folder can be mounted read-only here: {error}")
    done = subprocess.run(
        [*unshare, "bash", "-c", inside, "bash", str(root), sys.executable, PROGRAM, str(tmp_path / "out")],
        cwd=REPO, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "read-only: Read-only file system" in done.stdout
    assert done.stdout.count("done: ") == 7
    assert snapshot(root) == before


def test_hdf5_files_are_read_without_locks_which_some_file_systems_do_not_have(root):
    """A lock held on another open file would make a reader that asks for one fail."""
    shards = sorted((root / "modelnet40_ply_hdf5_2048").glob("*.h5"))
    files = [path.open("rb") for path in (*shards, root / "shapenet_render.h5")]
    try:
        for file in files:
            fcntl.flock(file, fcntl.LOCK_EX)
        assert len(ModelNet40(root, "train", num_points=5)) == 6
        assert len(PackedFile(root / "shapenet_render.h5")) == 3
        assert is_packed(root / "shapenet_render.h5")
    finally:
        for file in files:
            file.close()
