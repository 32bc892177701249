"""Training and evaluation on data that cannot be written to."""

import fcntl

import pytest

import train_crosspoint
import train_partseg
from datasets.labelled.modelnet40 import ModelNet40
from datasets.pairs.packed_file import PackedFile, is_packed
from scripts import eval_fewshot, eval_svm, finetune_cls, retrieve
from tests.support import entry_programs
from tests.support.light_runs import light
from tests.support.own_mounts import CannotMount, mount_here
from tests.support.several_processes import run_in_own_process
from tests.support.tiny_trees import pack, write_all


def call(program, *words):
    with light():
        entry_programs.call(program, *words)


def run_every_program(root, out):
    """Run every program that reads data on `root`, mounted read-only; what they write goes to `out`."""
    mount_here("--bind", str(root), str(root))
    mount_here("-o", "remount,bind,ro", str(root))
    with pytest.raises(OSError, match="Read-only file system"):
        (root / "new").touch()
    data = ("--data_root", root, "--device", "cpu", "--num_points", 64)
    runs = (*data, "--output_dir", out, "--num_workers", 0, "--model", "pointnet", "--epochs", 1, "--batch_size", 3)
    tree = (*runs, "--image_depth", 18, "--image_size", 32, "--eval_num_points", 64, "--eval_freq", 0)
    classes = ("--dataset", "modelnet40", *data)
    weights = out / "tree/models/best_model.pth"
    call(train_crosspoint, *tree, "--exp_name", "tree", "--num_workers", 1)
    call(train_crosspoint, *tree, "--exp_name", "packed", "--packed", root / "shapenet_render.h5")
    call(train_partseg, *runs, "--exp_name", "parts")
    tuning = ("--steps", 1, "--batch_size", 3, "--pretrained_path", weights, "--val_fraction", 0.4)
    call(finetune_cls, *classes, "--output_dir", out, "--exp_name", "classes", *tuning)
    call(eval_svm, *classes, "--model_path", weights, "--protocol", "published")
    episodes = ("--k_way", 2, "--m_shot", 1, "--n_query", 1, "--n_runs", 2)
    call(eval_fewshot, *classes, "--model_path", weights, *episodes)
    query = ("--query", root / "ShapeNet/02/a.ply", "--device", "cpu")
    call(retrieve, "--model_path", out / "tree/last.pt", "--shapes", root, *query)
    return sorted(path.name for path in out.iterdir())


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
    try:
        runs = run_in_own_process(run_every_program, root, tmp_path / "out")
    except CannotMount as error:
        pytest.skip(str(error))
    assert runs == ["classes", "packed", "parts", "tree"]
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
