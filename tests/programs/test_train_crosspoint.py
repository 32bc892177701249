"""train_crosspoint.py end to end on a tiny tree in the real layouts."""

import re
import shutil

import numpy as np
import pytest
import torch
import torchvision

from models.weights.published import load_encoder
from models.weights.weight_file import read_weights
from tests.support import light_runs
from tests.support.interruption import interrupted_in, stopped_after
from tests.support.light_runs import flags_of, log_of, metrics, results, same, weights
from tests.support.pretraining_runs import SHAPES, train, write_pairs_and_classes
from tests.support.tiny_trees import labelled, pack, write_h5
from utils.run.state import load_state

pytestmark = pytest.mark.usefixtures("light_training")
REAL_MODEL, REAL_CURVES = torchvision.models.get_model, light_runs.Training.fit.__globals__["try_draw_curves"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_pairs_and_classes(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def packed(root, tmp_path_factory):
    return pack(root, tmp_path_factory.mktemp("packed") / "all.h5")


@pytest.fixture(scope="module")
def plain(root, tmp_path_factory, light_training):
    """Run folder of the command as it is: PointNet, two epochs of two steps."""
    return train(root, tmp_path_factory.mktemp("plain"))


def test_dgcnn_and_a_resnet_train_and_leave_weights_a_state_and_a_picture(root, tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.models.get_model", REAL_MODEL)
    monkeypatch.setattr("utils.training.loop.try_draw_curves", REAL_CURVES)
    run_dir = train(root, tmp_path, model="dgcnn")
    assert np.isfinite(metrics(run_dir)).all()
    assert flags_of(run_dir)["model"] == "dgcnn"
    image = {key for key in read_weights(run_dir / "models" / "img_model_best.pth") if key.startswith("resnet.")}
    assert image == {f"resnet.{key}" for key in REAL_MODEL("resnet18").state_dict() if not key.startswith("fc.")}
    path, state = load_state(run_dir, report=pytest.fail)
    assert path == run_dir / "last.pt"
    assert (state["progress"]["epoch"], state["progress"]["step"]) == (2, 0)
    assert {"method", "optimizer", "schedule", "scaler", "rng", "config", "provenance"} <= state.keys()
    assert (run_dir / "loss_curve.png").read_bytes().startswith(b"\x89PNG")
    check_encoders(run_dir, "dgcnn")


def check_encoders(run_dir, model):
    for name in ("best_model.pth", "ckpt_epoch_0.pth", "ckpt_epoch_last.pth"):
        loaded = load_encoder(run_dir / "models" / name)
        assert (loaded.name, loaded.stored_k) == (model, 5)


def test_the_other_encoders_train_and_their_weights_load(root, plain, tmp_path):
    check_encoders(plain, "pointnet")
    check_encoders(train(root, tmp_path / "seg", model="dgcnn_seg"), "dgcnn_seg")
    check_encoders(train(root, tmp_path / "next", model="pointnext"), "pointnext")
    assert flags_of(train(root, tmp_path / "next", "--resume", model="pointnext"))["emb_dims"] == 512


def test_a_micro_batch_of_the_whole_batch_changes_nothing(root, plain, tmp_path):
    assert metrics(plain) == pytest.approx(metrics(train(root, tmp_path, "--micro_batch", "3")), rel=1e-4)


def test_smaller_micro_batches_change_what_batch_norm_sees(root, tmp_path):
    whole = metrics(train(root, tmp_path / "a", "--batch_size", "4"))
    assert whole != metrics(train(root, tmp_path / "b", "--batch_size", "4", "--micro_batch", "2"))


def test_others_may_read_the_weights(plain):
    assert (plain / "models" / "best_model.pth").stat().st_mode & 0o444 == 0o444


@pytest.fixture(scope="module")
def on_device(root, packed, tmp_path_factory, light_training):
    """A run that reads a packed file with workers and augments batch by batch."""
    flags = ("--augment", "device", "--packed", packed, "--num_workers", "2")
    return train(root, tmp_path_factory.mktemp("device"), *flags)


@pytest.mark.parametrize("augment", ["loader", "device"])
def test_a_training_stopped_and_interrupted_ends_as_one_that_is_not_bit_for_bit(
    root, plain, on_device, tmp_path, augment
):
    """With `device`, the uninterrupted run reads a packed file with two workers, the other the trees without."""
    whole = plain if augment == "loader" else on_device
    flags = ("--augment", augment)
    with stopped_after(1):  # in the middle of epoch 0
        train(root, tmp_path, *flags)
    with interrupted_in(1):  # between two epochs
        train(root, tmp_path, *flags, "--resume")
    run_dir = train(root, tmp_path, *flags, "--resume")
    log = log_of(run_dir)
    assert "SIGUSR1: stopped in epoch 0 after step 1" in log
    assert "resumed at epoch 0, step 1" in log
    assert "resumed at epoch 1, step 0" in log
    assert same(weights(whole), weights(run_dir))
    assert metrics(whole) == metrics(run_dir)


def test_with_crops_local_clouds_several_views_and_compositions_a_stopped_training_goes_on_bit_for_bit(
    root, packed, tmp_path
):
    flags = ["--crop_min", "0.4", "--local_clouds", "2", "--local_points", "24", "--cmid_views", "2"]
    flags += ["--compose", "0.5", "--micro_batch", "2", "--batch_size", "4", "--epochs", "3"]
    whole = train(root, tmp_path / "whole", *flags, "--packed", packed)
    with interrupted_in(1):
        train(root, tmp_path, *flags)
    run_dir = train(root, tmp_path, *flags, "--resume")
    assert "resumed at epoch 1, step 0" in log_of(run_dir)
    assert same(weights(whole), weights(run_dir))
    assert metrics(whole) == metrics(run_dir)
    assert np.isfinite(metrics(run_dir, "loss/local")).all()


def test_augmenting_on_the_device_draws_otherwise(plain, on_device):
    assert flags_of(on_device)["augment"] == "device"
    assert metrics(plain) != metrics(on_device)


def test_a_packed_file_and_workers_train_as_the_trees_without_do_bit_for_bit(root, plain, packed, tmp_path):
    run_dir = train(root, tmp_path, "--packed", packed, "--num_workers", "2")
    assert same(weights(plain), weights(run_dir))
    assert metrics(plain) == metrics(run_dir)
    assert flags_of(run_dir)["packed"] == str(packed)


def with_bad_clouds(root, folder, numbers):
    shutil.copytree(root, folder)
    for number in numbers:
        (folder / "ShapeNet" / f"{SHAPES[number]}.ply").write_bytes(b"ply, or so it says")
    return folder


def test_a_bad_cloud_ends_a_run_or_is_replaced_counted_and_named_once(root, tmp_path):
    folder = with_bad_clouds(root, tmp_path / "data", [3])
    with pytest.raises(ValueError, match=r"02/03\.ply"):
        train(folder, tmp_path / "fail", "--batch_size", "7")
    flags = ("--batch_size", "7", "--on_bad_sample", "skip")
    run_dir = train(folder, tmp_path / "skip", *flags, "--num_workers", "2")
    assert log_of(run_dir).count("warning: skipped") == 1
    assert re.search(r"warning: skipped .*02/03\.ply", log_of(run_dir))
    state = torch.load(run_dir / "last.pt", weights_only=True)
    assert (state["bad_samples"]["num_bad"], state["bad_samples"]["num_samples"]) == (2, 14)
    torch.save(state | {"progress": {"epoch": 1}}, run_dir / "last.pt")
    train(folder, tmp_path / "skip", *flags, "--resume")
    assert log_of(run_dir).count("warning: skipped") == 1


def test_too_many_bad_clouds_end_a_run_that_skips_them(root, tmp_path):
    folder = with_bad_clouds(root, tmp_path / "data", [1, 2, 3, 4, 5])
    flags = ("--batch_size", "7", "--epochs", "5", "--on_bad_sample", "skip")
    with pytest.raises(ValueError, match="15 of 21 samples could not be read, more than 50.00%"):
        train(folder, tmp_path, *flags, "--max_bad_rate", "0.5")


def test_states_are_saved_every_so_many_steps(root, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr("utils.training.loop.save_state", lambda state, run_dir: saved.append(dict(state["progress"])))
    train(root, tmp_path, "--batch_size", "2", "--save_every_steps", "2")
    assert [(p["epoch"], p["step"]) for p in saved] == [(0, 2), (1, 0), (1, 1), (2, 0)]


def test_copies_are_kept_and_lines_are_printed_as_often_as_asked(root, plain, tmp_path):
    run_dir = train(root, tmp_path, "--epochs", "3", "--save_freq", "2", "--print_freq", "100")
    kept = sorted(path.name for path in (run_dir / "models").glob("ckpt_epoch_*"))
    assert kept == ["ckpt_epoch_0.pth", "ckpt_epoch_2.pth", "ckpt_epoch_last.pth"]
    assert [log_of(run).count("shapes/s") for run in (plain, run_dir)] == [4, 3]


def test_held_out_svm_chooses_the_best_model_and_test_is_scored_once(root, tmp_path, capsys):
    flags = ("--eval_freq", "1", "--eval_dataset", "modelnet40", "--eval_num_points", "50")
    run_dir = train(root, tmp_path, *flags)
    assert capsys.readouterr().out.count("held-out val") == 2
    records = results(run_dir)
    assert {(r["protocol"], r["split"]) for r in records} == {("published", "test"), ("fair", "test"), ("knn", "test")}
    assert (records[0]["num_points"], records[0]["normalize"]) == (50, False)


def test_without_scores_the_run_says_so(plain):
    assert "--eval_freq 0: no held-out SVM, no test score at the end" in log_of(plain)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "ply_data_test0.h5").unlink(),
        lambda folder: (folder / "ply_data_test0.h5").write_bytes(b"no HDF5"),
        lambda folder: write_h5(folder / "ply_data_train0.h5", **labelled([0, 1, 2], num_points=1024)),
    ],
    ids=["missing", "damaged", "one cloud a class"],
)
def test_labelled_data_at_fault_stop_the_run_before_it_writes_anything(root, tmp_path, spoil):
    folder = shutil.copytree(root, tmp_path / "data")
    spoil(folder / "modelnet40_ply_hdf5_2048")
    with pytest.raises((ValueError, OSError), match="or pass --eval_freq 0"):
        train(folder, tmp_path, "--eval_freq", "1")
    assert not (tmp_path / "tiny").exists()


def test_eval_scores_a_checkpoint_on_normalised_clouds_without_training(root, plain, capsys):
    before = (plain / "last.pt").stat().st_mtime_ns
    train(root, plain.parent, "--eval", "--normalize")
    out = capsys.readouterr().out
    assert "protocol=fair dataset=modelnet40" in out
    assert "normalize True" in out
    assert (plain / "last.pt").stat().st_mtime_ns == before


def test_images_are_not_needed_without_the_cross_modal_term(root, tmp_path):
    folder = shutil.copytree(root, tmp_path / "data")
    shutil.rmtree(folder / "ShapeNetRendering")
    models = train(folder, tmp_path / "out", "--cmid_weight", "0", "--epochs", "1") / "models"
    assert (models / "best_model.pth").exists()
    assert not list(models.glob("img_model*"))
