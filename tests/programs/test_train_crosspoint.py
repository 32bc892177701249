"""train_crosspoint.py end to end on a tiny tree in the real layouts."""

import json
import math
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

import train_crosspoint
from models.methods import crosspoint
from models.weights.published import load_encoder
from tests.conftest import REPO
from tests.support.interruption import interrupted_in, stopped_after
from tests.support.tiny_trees import cloud, labelled, pack, write_h5, write_ply, write_shapenet
from utils.run.state import load_state

SHAPES = [f"02/{i:02d}" for i in range(7)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Seven shapes with two views, and a ModelNet40 layout of three classes."""
    folder = write_shapenet(tmp_path_factory.mktemp("tree"), SHAPES, num_points=1100, num_views=2, size=40)
    shards = folder / "modelnet40_ply_hdf5_2048"
    write_h5(shards / "ply_data_train0.h5", **labelled([0, 0, 0, 1, 1, 1, 2, 2, 2], num_points=1024))
    write_h5(shards / "ply_data_test0.h5", **labelled([2, 0, 1], seed=90, num_points=1024))
    return folder


def command(root, out, *extra, model="pointnet"):
    return [
        *("--model", model, "--epochs", "2", "--lr", "0.001", "--exp_name", "tiny", "--batch_size", "3"),
        *("--print_freq", "1", "--k", "5", "--num_points", "64", "--image_depth", "18", "--image_size", "32"),
        *("--num_workers", "0", "--device", "cpu", "--eval_freq", "0"),
        *("--data_root", str(root), "--output_dir", str(out), *extra),
    ]


def train(root, out, *extra, **options):
    train_crosspoint.main(train_crosspoint.parse_args(command(root, out, *extra, **options)))
    return out / "tiny"


def losses(run_dir):
    return [json.loads(line)["loss/total"] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def weights(run_dir):
    return torch.load(run_dir / "last.pt", weights_only=True)["method"]


@pytest.fixture(scope="module")
def plain(root, tmp_path_factory):
    """Run folder of the command as it is: PointNet, two epochs."""
    return train(root, tmp_path_factory.mktemp("plain"))


def test_a_run_ends_with_a_picture_of_its_curves(plain):
    assert (plain / "loss_curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("model", ["dgcnn", "dgcnn_seg", "pointnet"])
def test_each_encoder_trains_and_its_weights_load(root, tmp_path, model):
    run_dir = train(root, tmp_path, model=model)
    for name in ("best_model.pth", "ckpt_epoch_0.pth", "ckpt_epoch_last.pth"):
        loaded = load_encoder(run_dir / "models" / name)
        assert (loaded.name, loaded.stored_k) == (model, 5)
    assert np.isfinite(losses(run_dir)).all()
    assert json.loads((run_dir / "config.json").read_text())["flags"]["model"] == model


@pytest.mark.parametrize("augment", ["loader", "device"])
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(root, tmp_path, augment):
    flags = ("--epochs", "4", "--augment", augment)
    whole = weights(train(root, tmp_path / "whole", *flags))
    with interrupted_in(2):
        train(root, tmp_path / "cut", *flags)
    resumed = weights(train(root, tmp_path / "cut", *flags, "--resume"))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


@pytest.mark.parametrize("augment", ["loader", "device"])
def test_a_training_told_to_stop_goes_on_in_the_middle_of_an_epoch_bit_for_bit(root, tmp_path, augment):
    flags = ("--batch_size", "2", "--augment", augment)  # three steps an epoch
    whole = train(root, tmp_path / "whole", *flags)
    run_dir = tmp_path / "cut" / "tiny"
    for stop in (1, 2):
        with stopped_after(stop):
            train(root, tmp_path / "cut", *flags, *(("--resume",) if stop > 1 else ()))
    log = (run_dir / "run.log").read_text()
    assert "SIGUSR1: stopped in epoch 0 after step 1" in log
    assert "resumed at epoch 0, step 1" in log
    train(root, tmp_path / "cut", *flags, "--resume")
    assert equal(weights(whole), weights(run_dir))
    assert losses(whole) == losses(run_dir)


def with_bad_clouds(root, folder, numbers):
    shutil.copytree(root, folder)
    for number in numbers:
        (folder / "ShapeNet" / f"{SHAPES[number]}.ply").write_bytes(b"ply, or so it says")
    return folder


def test_a_bad_cloud_ends_a_run_or_is_replaced_counted_and_named_once(root, tmp_path):
    folder = with_bad_clouds(root, tmp_path / "data", [3])
    with pytest.raises(ValueError, match=r"02/03\.ply"):
        train(folder, tmp_path / "fail", "--batch_size", "7")
    run_dir = train(folder, tmp_path / "skip", "--batch_size", "7", "--on_bad_sample", "skip", "--num_workers", "2")
    log = (run_dir / "run.log").read_text()
    assert log.count("warning: skipped") == 1
    assert re.search(r"warning: skipped .*02/03\.ply", log)
    state = torch.load(run_dir / "last.pt", weights_only=True)
    assert (state["bad_samples"]["num_bad"], state["bad_samples"]["num_samples"]) == (2, 14)
    train(folder, tmp_path / "skip", "--batch_size", "7", "--on_bad_sample", "skip", "--resume")
    assert (run_dir / "run.log").read_text().count("warning: skipped") == 1


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


def test_a_run_that_was_killed_before_its_first_state_begins_again(root, tmp_path):
    with interrupted_in(0):
        train(root, tmp_path)
    run_dir = train(root, tmp_path, "--resume")
    assert "no state in" in (run_dir / "run.log").read_text()
    assert len(losses(run_dir)) == 2


def test_the_number_of_workers_changes_nothing(root, plain, tmp_path):
    assert losses(plain) == losses(train(root, tmp_path, "--num_workers", "2"))


@pytest.mark.parametrize(
    "flags",
    [
        ("--seed", "2"), ("--lr", "0.01"), ("--use_sgd",), ("--imid_weight", "0"), ("--cmid_weight", "0"),
        ("--temperature", "0.5"), ("--image_size", "48"), ("--background", "white"), ("--num_points", "32"),
        ("--amp", "bf16"), ("--image_depth", "34"), ("--batch_size", "2"), ("--epochs", "1"),
    ],
)  # fmt: skip
def test_each_flag_of_training_changes_the_losses(root, plain, tmp_path, flags):
    assert losses(plain) != losses(train(root, tmp_path, *flags))


def test_a_micro_batch_of_the_whole_batch_changes_nothing(root, plain, tmp_path):
    assert losses(plain) == pytest.approx(losses(train(root, tmp_path, "--micro_batch", "3")), rel=1e-4)


def test_smaller_micro_batches_change_what_batch_norm_sees(root, tmp_path):
    whole = losses(train(root, tmp_path / "a", "--batch_size", "4"))
    assert whole != losses(train(root, tmp_path / "b", "--batch_size", "4", "--micro_batch", "2"))


@pytest.fixture(scope="module")
def packed(root, tmp_path_factory):
    return pack(root, tmp_path_factory.mktemp("packed") / "all.h5")


def equal(first, second):
    return all(torch.equal(first[key], second[key]) for key in first)


def test_a_packed_file_trains_as_its_trees_do_bit_for_bit(root, plain, packed, tmp_path):
    run_dir = train(root, tmp_path, "--packed", str(packed))
    assert equal(weights(plain), weights(run_dir))
    assert json.loads((run_dir / "config.json").read_text())["flags"]["packed"] == str(packed)


def test_batches_augmented_on_the_device_are_the_same_from_both_and_with_workers(root, plain, packed, tmp_path):
    trees = train(root, tmp_path / "trees", "--augment", "device")
    file = train(root, tmp_path / "file", "--augment", "device", "--packed", str(packed), "--num_workers", "2")
    assert json.loads((trees / "config.json").read_text())["flags"]["augment"] == "device"
    assert equal(weights(trees), weights(file))
    assert losses(trees) != losses(plain)


def test_the_augmentation_of_batches_follows_its_flags_and_the_seed(root, packed, tmp_path):
    flags = ("--augment", "device", "--packed", str(packed), "--epochs", "1")
    first = losses(train(root, tmp_path / "a", *flags))
    for number, change in enumerate((("--rotation", "so3"), ("--max_scale", "1.1"), ("--max_dropout", "0.1"))):
        assert losses(train(root, tmp_path / str(number), *flags, *change)) != first


def test_a_packed_file_at_fault_is_named_before_anything_is_written(root, tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"bad\.h5 is damaged"):
        train(root, tmp_path / "out", "--packed", str(tmp_path / "bad.h5"))
    assert not (tmp_path / "out").exists()


def test_k_changes_the_losses_of_dgcnn(root, tmp_path):
    plain = losses(train(root, tmp_path / "a", "--epochs", "1", model="dgcnn"))
    assert plain != losses(train(root, tmp_path / "b", "--epochs", "1", "--k", "3", model="dgcnn"))


def test_momentum_changes_the_losses_of_sgd(root, tmp_path):
    sgd = losses(train(root, tmp_path / "a", "--use_sgd"))
    assert sgd != losses(train(root, tmp_path / "b", "--use_sgd", "--momentum", "0"))


def test_image_weights_start_the_image_encoder(root, plain, tmp_path):
    image = torch.load(plain / "models" / "img_model_best.pth", weights_only=True)
    resnet = {key.removeprefix("resnet."): value for key, value in image.items() if key.startswith("resnet.")}
    torch.save(resnet18().state_dict() | resnet, tmp_path / "image.pth")
    assert losses(plain) != losses(train(root, tmp_path, "--image_weights", str(tmp_path / "image.pth")))


def test_model_path_starts_the_point_branch_from_those_weights(root, plain, tmp_path):
    path = plain / "models" / "best_model.pth"
    assert losses(plain) != losses(train(root, tmp_path, "--model_path", str(path)))


def test_weights_trained_with_another_k_are_warned_of(root, tmp_path):
    first = train(root, tmp_path, "--epochs", "1", model="dgcnn")
    start = ("--model_path", str(first / "models" / "best_model.pth"), "--epochs", "1")
    again = train(root, tmp_path / "same", *start, model="dgcnn")
    other = train(root, tmp_path / "other", *start, "--k", "4", model="dgcnn")
    assert "was trained with k" not in (again / "run.log").read_text()
    assert "was trained with k 5, this run has --k 4" in (other / "run.log").read_text()


@pytest.mark.parametrize(
    "flags", [("--rotation", "so3"), ("--max_scale", "1.5"), ("--translation", "0"), ("--max_dropout", "0")]
)
def test_each_flag_of_the_augmentation_changes_the_losses(root, plain, tmp_path, flags):
    assert losses(plain) != losses(train(root, tmp_path, *flags))


def test_save_freq_keeps_copies(root, tmp_path):
    run_dir = train(root, tmp_path, "--epochs", "3", "--save_freq", "2")
    kept = sorted(path.name for path in (run_dir / "models").glob("ckpt_epoch_*"))
    assert kept == ["ckpt_epoch_0.pth", "ckpt_epoch_2.pth", "ckpt_epoch_last.pth"]


def test_print_freq_sets_the_number_of_lines(root, plain, tmp_path):
    seldom = train(root, tmp_path, "--print_freq", "100")
    assert [(run / "run.log").read_text().count("shapes/s") for run in (plain, seldom)] == [4, 2]


def test_held_out_svm_chooses_the_best_model_and_test_is_scored_once(root, tmp_path, capsys):
    run_dir = train(root, tmp_path, "--eval_freq", "1", "--eval_dataset", "modelnet40")
    out = capsys.readouterr().out
    assert out.count("held-out val") == 2
    results = json.loads((run_dir / "results.json").read_text())["results"]
    assert {(r["protocol"], r["split"]) for r in results} == {("published", "test"), ("fair", "test"), ("knn", "test")}


def test_scores_of_small_clouds_need_only_their_number_of_points(root, tmp_path):
    run_dir = train(root, tmp_path, "--eval_freq", "1", "--eval_num_points", "50")
    assert json.loads((run_dir / "results.json").read_text())["results"][0]["num_points"] == 50


def test_without_scores_the_run_says_so(plain):
    assert "--eval_freq 0: no held-out SVM, no test score at the end" in (plain / "run.log").read_text()


@pytest.mark.parametrize("spoil", ["missing", "damaged", "single"])
def test_labelled_data_at_fault_stop_the_run_before_it_writes_anything(root, tmp_path, spoil):
    folder = shutil.copytree(root, tmp_path / "data")
    shards = folder / "modelnet40_ply_hdf5_2048"
    if spoil == "single":
        write_h5(shards / "ply_data_train0.h5", **labelled([0, 1, 2], num_points=1024))
    else:
        (shards / "ply_data_test0.h5").unlink()
    if spoil == "damaged":
        (shards / "ply_data_test0.h5").write_bytes(b"no HDF5")
    with pytest.raises((ValueError, OSError), match="or pass --eval_freq 0"):
        train(folder, tmp_path, "--eval_freq", "1")
    assert not (tmp_path / "tiny").exists()


def test_normalize_reaches_the_scores(root, plain, capsys):
    train(root, plain.parent, "--eval", "--normalize")
    assert "normalize True" in capsys.readouterr().out


def test_eval_scores_a_checkpoint_without_training(root, plain, capsys):
    before = (plain / "last.pt").stat().st_mtime_ns
    train(root, plain.parent, "--eval")
    assert "protocol=fair dataset=modelnet40" in capsys.readouterr().out
    assert (plain / "last.pt").stat().st_mtime_ns == before


def test_a_run_is_not_overwritten_unless_asked(root, tmp_path):
    train(root, tmp_path, "--epochs", "1")
    with pytest.raises(ValueError, match="already holds a run"):
        train(root, tmp_path)
    run_dir = train(root, tmp_path, "--overwrite", "--save_freq", "0", "--seed", "7")
    assert len(losses(run_dir)) == 2
    assert not (run_dir / "models" / "ckpt_epoch_0.pth").exists()
    assert json.loads((run_dir / "config.json").read_text())["flags"]["seed"] == 7
    assert load_encoder(run_dir / "models" / "best_model.pth").name == "pointnet"


def test_resume_and_overwrite_exclude_each_other(root, plain):
    with pytest.raises(ValueError, match="pass one of them"):
        train(root, plain.parent, "--resume", "--overwrite")
    assert (plain / "last.pt").is_file()


def test_a_resumed_run_records_each_session(root, tmp_path):
    train(root, tmp_path)
    run_dir = train(root, tmp_path, "--resume")
    record = json.loads((run_dir / "config.json").read_text())
    assert [set(session) for session in record["sessions"]] == [{"command", "commit", "machine", "python", "torch"}]


def test_resuming_without_the_record_still_knows_the_settings(root, tmp_path):
    run_dir = train(root, tmp_path)
    (run_dir / "config.json").unlink()
    with pytest.raises(ValueError, match="--temperature was 0.1, now 0.5"):
        train(root, tmp_path, "--resume", "--temperature", "0.5")
    train(root, tmp_path, "--resume")
    assert json.loads((run_dir / "config.json").read_text())["flags"]["temperature"] == 0.1


def test_resuming_on_another_number_of_shapes_is_refused(root, tmp_path):
    train(root, tmp_path)
    folder = write_shapenet(tmp_path / "data", SHAPES[:5], num_points=1100, num_views=2, size=40)
    with pytest.raises(ValueError, match=r"was trained on 7 samples, --data_root .*data holds 5"):
        train(folder, tmp_path, "--resume")
    packed = str(pack(folder, tmp_path / "five.h5"))
    with pytest.raises(ValueError, match=r"was trained on 7 samples, --packed .*five\.h5 holds 5"):
        train(root, tmp_path, "--resume", "--packed", packed)


def test_hours_are_those_of_the_whole_run(root, tmp_path):
    train(root, tmp_path)
    state = torch.load(tmp_path / "tiny" / "last.pt", weights_only=True)
    torch.save(state | {"seconds": 3600.0, "progress": {"epoch": 1}}, tmp_path / "tiny" / "last.pt")
    run_dir = train(root, tmp_path, "--resume")
    hours = [json.loads(line)["hours"] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert 0 < hours[0] < hours[1] < 0.1
    assert 1 < hours[2] < 1.1


def test_resuming_with_other_settings_is_refused(root, plain):
    with pytest.raises(ValueError, match="--lr was 0.001, now 0.01"):
        train(root, plain.parent, "--resume", "--lr", "0.01")


def test_nothing_to_resume_is_an_error(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        train(root, tmp_path, "--resume")


def test_a_non_finite_loss_stops_with_step_files_and_saved_state(root, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"epoch 0, step 1(.|\n)*02/0\d.ply"):
        train(root, tmp_path, "--lr", "1e30", "--use_sgd")
    state = torch.load(tmp_path / "tiny" / "nonfinite.pt", weights_only=True)
    assert len(state["failed_batch"]) == 3
    assert all(torch.isfinite(value).all() for name, value in state["method"].items() if "running" not in name)


def test_a_non_finite_gradient_stops_before_it_reaches_the_weights(root, tmp_path, monkeypatch):
    real_loss = crosspoint.nt_xent
    poison = iter([1.0, 1.0, math.nan])

    def loss(a, b, temperature):
        a.register_hook(lambda grad: grad * next(poison, 1.0))
        return real_loss(a, b, temperature)

    monkeypatch.setattr(crosspoint, "nt_xent", loss)
    with pytest.raises(ValueError, match=r"epoch 0, step 1(.|\n)*gradient norm(.|\n)*no state was saved before"):
        train(root, tmp_path)
    state = torch.load(tmp_path / "tiny" / "nonfinite.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in state["method"].values())


def test_wandb_offline_needs_no_account(root, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    code = f"import train_crosspoint as t; t.main(t.parse_args({command(root, tmp_path, '--wandb', 'offline')!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True, capture_output=True, timeout=120)
    assert list((tmp_path / "tiny" / "wandb").glob("offline-run-*"))


def run_program(*args):
    """The program as a user runs it."""
    return subprocess.run(
        [sys.executable, "train_crosspoint.py", *args], cwd=REPO, capture_output=True, text=True, timeout=120
    )


def break_png(folder):
    for png in folder.rglob("*.png"):
        png.write_bytes(png.read_bytes()[:60])


def break_ply(folder):
    path = sorted(folder.rglob("*.ply"))[0]
    write_ply(path, np.full_like(cloud(0, 1100), np.nan))


def drop_renders(folder):
    for png in (folder / "ShapeNetRendering" / "02" / "03").rglob("*.png"):
        png.unlink()


def empty(folder):
    for ply in folder.rglob("*.ply"):
        ply.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(break_png, ".png"), (break_ply, "00.ply"), (drop_renders, "03"), (empty, "no clouds")],
)
def test_bad_data_is_one_message_and_exit_status_2(tmp_path, spoil, message):
    folder = write_shapenet(tmp_path / "data", SHAPES, num_points=1100, num_views=2, size=40)
    spoil(folder)
    result = run_program(*command(folder, tmp_path / "out"))
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_fault_met_by_a_loader_process_is_the_same_message(tmp_path):
    folder = write_shapenet(tmp_path / "data", SHAPES, num_points=1100, num_views=2, size=40)
    break_png(folder)
    with pytest.raises(ValueError, match=r"\.png") as caught:
        train(folder, tmp_path / "out", "--num_workers", "2")
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--data_root", "/nonexistent"), "make_shapes"),
        (("--batch_size", "8"), "--batch_size 8 is larger than the data set (7 shapes)"),
        (("--num_points", "5000"), "5000"),
        (("--print_freq", "0"), "--print_freq must be at least 1"),
        (("--epochs", "0"), "--epochs must be at least 1"),
        (("--batch_size", "1"), "--batch_size must be at least 2"),
        (("--num_points", "1"), "--num_points must be at least 2"),
        (("--image_size", "1"), "--image_size must be at least 2"),
        (("--packed", ""), "--packed is empty; name a file"),
        (("--model", "dgcnn", "--k", "100"), "k = 100"),
        (("--model_path", "none.pth"), "none.pth"),
        (("--device", "cuda:99"), "cuda:99"),
        (("--imid_weight", "0", "--cmid_weight", "0"), "one of them > 0"),
        (("--imid_weight", "nan"), "--imid_weight nan"),
        (("--micro_batch", "1"), "--micro_batch must be 0 or at least 2"),
        (("--temperature", "0"), "--temperature must be > 0"),
        (("--max_dropout", "1"), "--max_dropout 1.0 in [0, 1)"),
        (("--device", "mps"), "--device mps: only cpu and cuda"),
        (("--eval_freq", "-1"), "--eval_freq must be at least 0"),
        (("--save_freq", "-1"), "--save_freq must be at least 0"),
        (("--image_size", "5000"), "--image_size must be at most 4096"),
        (
            ("--eval_freq", "1", "--eval_num_points", "4", "--model", "dgcnn"),
            "--eval_num_points 4 must be at least --k 5",
        ),
        (("--image_weights", __file__), "test_train_crosspoint.py"),
        (("--eval_freq", "1", "--eval_dataset", "scanobjectnn"), "ScanObjectNN"),
        (("--eval_freq", "1", "--eval_num_points", "1025"), "--eval_num_points 1025"),
    ],
)
def test_bad_flags_are_an_error_that_names_them(root, tmp_path, flags, message):
    arguments = train_crosspoint.parse_args(command(root, tmp_path, *flags))
    with pytest.raises((ValueError, OSError), match=".") as caught:
        train_crosspoint.main(arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("seed", ["-1", "2147483648", "1.5", "x"])
def test_a_seed_no_generator_can_start_from_is_refused(root, tmp_path, seed, capsys):
    with pytest.raises(SystemExit):
        train_crosspoint.parse_args(command(root, tmp_path, "--seed", seed))
    assert "--seed: must be a whole number from 0 to 2147483647" in capsys.readouterr().err


def test_images_are_not_needed_without_the_cross_modal_term(tmp_path):
    folder = write_shapenet(tmp_path / "data", SHAPES, num_points=1100, num_views=2, size=40)
    shutil.rmtree(folder / "ShapeNetRendering")
    train(folder, tmp_path / "out", "--cmid_weight", "0")


def test_a_checkpoint_of_another_model_is_refused(root, plain, tmp_path):
    with pytest.raises(ValueError, match="weights of pointnet, not of --model dgcnn"):
        train(root, tmp_path, "--model_path", str(plain / "models" / "best_model.pth"), model="dgcnn")


def test_others_may_read_the_weights(plain):
    assert (plain / "models" / "best_model.pth").stat().st_mode & 0o444 == 0o444


def test_the_last_state_is_whole(plain):
    path, state = load_state(plain, report=pytest.fail)
    assert path == plain / "last.pt"
    assert (state["progress"]["epoch"], state["progress"]["step"]) == (2, 0)
    assert {"method", "optimizer", "schedule", "scaler", "rng", "config", "provenance"} <= state.keys()


def test_flags_for_several_processes_say_that_one_has_the_whole_batch(root, plain, tmp_path):
    run_dir = train(root, tmp_path, "--world_size", "6", "--backend", "nccl")
    assert (
        "--world_size 6: one process computes the whole batch of 3, with the same result; for more start the same "
        "command with torchrun --nproc_per_node=6" in (run_dir / "run.log").read_text()
    )
    assert "one process" not in (plain / "run.log").read_text()
    assert losses(run_dir) == losses(plain)
