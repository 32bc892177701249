"""scripts.train_semseg by blocks of points, end to end on rooms of a floor and a box."""

import json

import numpy as np
import pytest
import torch
from plyfile import PlyData

from models.weights.published import load_encoder
from scripts import plot_semseg, segment, train_semseg
from tests.support.entry_programs import call, error_of, write_encoder
from tests.support.interruption import interrupted_in
from tests.support.light_runs import built_by, flags_of, log_of, metrics, results, same, weights
from tests.support.real_scenes import write_scan
from tests.support.tiny_rooms import write_box_rooms
from utils.results.result_records import read_report
from utils.results.result_tables import results_table

TINY = "--exp_name tiny --batch_size 2 --num_points 64 --num_workers 0 --device cpu"


pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_box_rooms(tmp_path_factory.mktemp("rooms"), density=3)


def train(root, out, *extra, model="pointnet", steps=2, epochs=2):
    length = ("--steps", steps, "--epochs", epochs, "--model", model)
    call(train_semseg, *TINY.split(), *length, "--data_root", root, "--output_dir", out, *extra)
    return out / "tiny"


@pytest.fixture(scope="module")
def plain(root, tmp_path_factory):
    """Run folder of a training that is long enough to learn."""
    return train(root, tmp_path_factory.mktemp("plain"), "--votes", 2, steps=30)


def test_a_tiny_network_learns_and_is_scored_over_blocks_and_over_whole_rooms(plain):
    blocks, own, voted = results(plain)
    assert min(blocks["miou"], own["miou"], voted["miou"]) > 0.7
    names = [(row["protocol"], row["voting"]) for row in (blocks, own, voted)]
    assert names == [("blocks", False), ("whole_rooms", False), ("whole_rooms", 2)]
    assert np.sum(own["confusion"]) == np.sum(voted["confusion"]) == 1110
    assert np.sum(blocks["confusion"]) == 4 * 64  # a draw of each block
    assert (own["variant"], own["num_train"], own["num_test"], own["model"]) == ("Area 5", 3, 1, "pointnet")
    assert (plain / "room_clouds.npz").is_file()
    table = results_table(read_report(plain / "results.json"))
    assert "pointnet, 64 points | semantic segmentation, points drawn of blocks, 100 % of the rooms, batch_s" in table
    assert "semantic segmentation, points of whole rooms, 100 % of the rooms, 2 votes, batch_size 2, steps 30" in table


def test_the_file_of_a_run_is_tested_again_with_the_same_figures(root, plain, tmp_path):
    again = ("--eval", "--model_path", plain / "models" / "best_model.pth", "--data_root", root, "--device", "cpu")
    call(train_semseg, *again, "--json", tmp_path / "again.json")
    rows = [row for row in read_report(tmp_path / "again.json") if row["metric"] == "miou"]
    assert [row["value"] for row in rows] == [f"{results(plain)[place]['miou']:.6f}" for place in (0, 1)]
    call(train_semseg, *again, "--block_stride", 0.5, "--json", tmp_path / "finer.json")
    finer = json.loads((tmp_path / "finer.json").read_text())["results"]
    assert (np.sum(finer[0]["confusion"]), finer[0]["block_stride"]) == (9 * 64, 0.5)
    with pytest.raises(ValueError, match="--block_stride 2 is above --block_size 1"):
        call(train_semseg, *again, "--block_stride", 2)
    with pytest.raises(ValueError, match="was trained with num_points 64, got 32"):
        call(train_semseg, *again, "--num_points", 32)
    with pytest.raises(ValueError, match="was trained with model pointnet, got dgcnn"):
        call(train_semseg, *again, "--model", "dgcnn")


@pytest.mark.parametrize("model", ["dgcnn", "pointnet"])
def test_a_resumed_training_ends_as_without_bit_for_bit(root, tmp_path, model):
    whole = train(root, tmp_path / "whole", model=model)
    with interrupted_in(1):
        train(root, tmp_path, model=model)
    resumed = train(root, tmp_path, "--resume", model=model)
    assert same(weights(whole), weights(resumed))
    assert metrics(whole) == metrics(resumed)
    assert [row["miou"] for row in results(whole)] == [row["miou"] for row in results(resumed)]


def test_folds_add_up_blocks_and_rooms_apart_and_finished_ones_are_taken_over(root, tmp_path, capsys):
    run_dir = train(root, tmp_path, "--test_area", "all", steps=1, epochs=1)
    folds = [results(run_dir / f"area_{area}") for area in (1, 2, 5)]
    for place, protocol in enumerate(("blocks", "whole_rooms")):
        found = results(run_dir)[place]
        assert found["protocol"] == protocol
        counts = sum(np.array(fold[place]["confusion"]) for fold in folds)
        assert found["confusion"] == counts.tolist()
        assert found["accuracy"] == pytest.approx(counts.trace() / counts.sum())
    train(root, tmp_path, "--test_area", "all", "--resume", steps=1, epochs=1)
    assert capsys.readouterr().out.count("finished before") == 3
    (run_dir / "area_2" / "results.json").unlink()
    train(root, tmp_path, "--test_area", "all", "--resume", steps=1, epochs=1)
    assert "area 2: finished before" not in capsys.readouterr().out


def built(root, out, *flags):
    given = ("--data_root", root, "--output_dir", out, "--device", "cpu", "--num_workers", 0, *flags)
    return built_by(lambda: call(train_semseg, *given))


def test_the_defaults_are_the_published_ones(root, tmp_path):
    training = built(root, tmp_path / "dgcnn", "--model", "dgcnn")
    group, settings = training.optimizer.param_groups[0], training.settings
    assert (training.schedule.base_lrs, group["momentum"], group["weight_decay"]) == ([0.1], 0.9, 1e-4)
    assert (settings.epochs, settings.batch_size, settings.k, *settings.block_form) == (100, 32, 20, 1.0, 1.0, 4096)
    assert training.schedule.lr_lambdas[0](99) == pytest.approx(0.01, rel=0.03)  # an epoch has one step here
    assert training.method.label_smoothing == 0.2
    training = built(root, tmp_path / "pointnet", "--model", "pointnet", "--batch_size", 4)
    group, settings = training.optimizer.param_groups[0], training.settings
    assert type(training.optimizer).__name__ == "Adam"
    assert (training.schedule.base_lrs, group["weight_decay"], settings.epochs) == ([0.001], 1e-4, 100)
    assert len(training.loader) == 6  # of 27 places
    assert [training.schedule.lr_lambdas[0](step) for step in (119, 120, 240)] == [1, 0.5, 0.25]
    assert training.method.label_smoothing == 0
    training.before_epoch(20)
    assert {norm.momentum for norm in training.method.modules() if hasattr(norm, "momentum")} == {0.25}
    parsed = train_semseg.SemsegSettings.read(vars(train_semseg.parse_args(["--model", "pointnet"])))
    assert parsed.for_rooms("s3dis", 200).batch_size == 24


@pytest.mark.parametrize(("model", "encoder", "left"), [("dgcnn", "dgcnn_seg", 2), ("pointnet", "pointnet", 1)])
def test_a_training_starts_from_the_trunk_of_an_encoder_and_says_what_is_new(root, tmp_path, model, encoder, left):
    path = write_encoder(tmp_path / "encoder.pth", encoder)
    given, tiny = load_encoder(path).encoder.state_dict(), ("--batch_size", 2, "--model", model)
    plain, started = (built(root, tmp_path / "run", *tiny, *start) for start in ((), ("--model_path", path)))
    before, after = (training.method.network.state_dict() for training in (plain, started))
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert {key.split(".")[0] for key in moved} == {f"conv{number}" for number in range(2, 7 if left == 2 else 6)}
    assert all(torch.equal(after[key], given[key]) for key in moved)
    run_dir = train(root, tmp_path, "--model_path", path, model=model, steps=1, epochs=1)
    said = "all but conv1" if left == 1 else "all but conv1, transform_net"
    assert f"{path}: " in log_of(run_dir)
    assert f"{said}, since the first layer takes nine numbers of a point here" in log_of(run_dir)
    assert results(run_dir)[0]["checkpoint"] == str(path)


def test_scannet_is_segmented_by_blocks_too(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.scenes.room_blocks.FEWEST", 2)  # the scenes have six points
    monkeypatch.setattr("utils.semseg.block_rooms.FEWEST", 2)
    for number in range(2):
        write_scan(tmp_path, f"scene000{number}_00")
    (tmp_path / "scannetv2_train.txt").write_text("scene0000_00\n")
    (tmp_path / "scannetv2_val.txt").write_text("scene0001_00\n")
    flags = ("--dataset", "scannet", "--num_points", 8, "--block_size", 2)
    blocks, rooms = results(train(tmp_path, tmp_path, *flags, steps=1, epochs=1))
    assert (blocks["protocol"], blocks["num_classes"], rooms["split"]) == ("blocks", 20, "val")
    assert np.sum(rooms["confusion"]) == 4  # of six points, two without a class


def test_a_room_is_coloured_and_drawn_by_a_network_of_blocks(root, plain, tmp_path, capsys):
    folder, path = root / "Area_5" / "office_3", plain / "models" / "best_model.pth"
    call(segment, folder, "--model_path", path, "--out", tmp_path / "out.ply", "--device", "cpu")
    printed = capsys.readouterr().out
    assert "pointnet of s3dis, blocks of 1 m every 1 m, 64 points; room: 1110 points" in printed
    assert "in 4 blocks" in printed
    counts = np.bincount(PlyData.read(str(tmp_path / "out.ply"))["vertex"]["label"], minlength=13)
    assert counts.tolist() == np.sum(results(plain)[1]["confusion"], axis=0).tolist()
    call(plot_semseg, plain, "--data_root", root, "--out", tmp_path / "rooms.png", "--device", "cpu", "--votes", 2)
    assert (tmp_path / "rooms.png").read_bytes().startswith(b"\x89PNG")


def test_what_does_not_fit_is_refused_by_name(root, plain, tmp_path, capsys):
    def message(*flags, data=root, model="dgcnn"):
        return error_of(lambda: train(data, tmp_path / "run", *flags, model=model), capsys)

    for flags in (("--voxel", 0.1), ("--plan", "14A"), ("--crop", 2), ("--kernel_order", "cube"), ("--no-augment",)):
        assert f"--{flags[0].removeprefix('--').removeprefix('no-')} means nothing to --model dgcnn" in message(*flags)
    assert "--k means nothing to --model pointnet" in message("--k", 5, model="pointnet")
    assert "--momentum means nothing to --model pointnet" in message("--momentum", 0.5, model="pointnet")
    assert "--num_points means nothing to --model sr_unet" in message(model="sr_unet")
    for probe in ("linear", "linear_bn", "decoder"):
        assert f"--probe {probe} is for sr_unet: first layer and classifier of dgcnn are always new" in message(
            "--probe", probe
        )
    assert "--block_stride 2 is above --block_size 1" in message("--block_stride", 2)
    assert "--k 65 is above --num_points 64" in message("--k", 65)
    sparse = write_box_rooms(tmp_path / "sparse", (1, 5))
    assert "none of 1 rooms has 100 points in a block of 0.3 m" in message(
        "--block_size", 0.3, "--block_stride", 0.3, data=sparse
    )
    other = write_encoder(tmp_path / "other.pth", "dgcnn")
    assert "by blocks --model dgcnn starts from an encoder that was pre-trained as --model dgcnn_seg" in message(
        "--model_path", other
    )
    assert "holds no network of scripts.train_semseg" in message("--eval", "--model_path", other)
    assert not (tmp_path / "run").exists()
    with interrupted_in(0):
        train(root, tmp_path / "k", model="dgcnn")
    assert flags_of(tmp_path / "k" / "tiny")["k"] == 20
    assert "--k was 20, now 5" in error_of(
        lambda: train(root, tmp_path / "k", "--k", 5, "--resume", model="dgcnn"), capsys
    )
