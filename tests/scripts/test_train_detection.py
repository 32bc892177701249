"""scripts.train_detection end to end on rooms written by hand: results, picture, resuming, SR-UNet, refusals."""

import shutil
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from models.detection.vote_backbone import VoteBackbone
from models.encoders.scenes.sr_unet import PLANS, Plan, SRUNet
from models.weights.sr_unet_file import backbone_state
from models.weights.weight_file import read_weights
from scripts import train_detection
from tests.support.entry_programs import call, error_of
from tests.support.interruption import interrupted_in
from tests.support.light_runs import built_by, log_of, metrics, results, same, weights
from tests.support.real_scenes import write_prepared, write_scan
from tests.support.tiny_detection import STAGES
from utils.detection.detector_training import DetectorSettings, detector_schedule
from utils.results.result_records import read_report

pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three scenes of either set in train, and one in val."""
    folder = tmp_path_factory.mktemp("rooms")
    names = [f"scene000{number}_00" for number in range(4)]
    for number, name in enumerate(names):
        write_scan(folder, name)
        split = "train" if number < 3 else "val"
        write_prepared(folder / f"sunrgbd_pc_bbox_votes_50k_v1_{split}", f"00000{number}")
    (folder / "scannetv2_train.txt").write_text("\n".join(names[:3]))
    (folder / "scannetv2_val.txt").write_text(names[3])
    return folder


@pytest.fixture(autouse=True)
def _small_and_changing_fast(monkeypatch):
    """A narrow PointNet++, and a momentum of BatchNorm that is halved after every epoch."""
    narrow = partial(VoteBackbone, stages=STAGES, feature_dim=32)
    monkeypatch.setattr("utils.detection.detector_training.VoteBackbone", narrow)
    monkeypatch.setattr("utils.training.optim.STEP_EPOCHS", 1)


def run(root, out, *extra, dataset="scannet"):
    """Train on the rooms; return the run's folder."""
    call(
        train_detection,
        *("--exp_name", "tiny", "--dataset", dataset, "--data_root", root, "--output_dir", out, "--device", "cpu"),
        *("--batch_size", 2, "--num_points", 64, "--num_proposals", 8, "--num_workers", 0, "--epochs", 2, *extra),
    )
    return out / "tiny"


def test_a_resumed_training_ends_as_one_in_a_piece_and_is_scored_alike(root, tmp_path):
    plain = run(root, tmp_path / "plain")
    with interrupted_in(1):
        run(root, tmp_path / "cut", "--num_pictures", 0)
    resumed = run(root, tmp_path / "cut", "--resume", "--num_pictures", 0)
    assert same(weights(plain), weights(resumed))
    assert metrics(plain) == metrics(resumed)
    assert results(plain) == results(resumed)
    assert (plain / "boxes.png").read_bytes().startswith(b"\x89PNG")
    assert not (resumed / "boxes.png").exists()
    network = weights(plain)
    kept = read_weights(plain / "models" / "best_model.pth")
    assert same({f"network.{key}": value for key, value in kept.items()}, network)

    first, second = results(plain)
    assert [one["protocol"] for one in (first, second)] == ["iou25", "iou50"]
    assert first["ap_by_class"].keys() == {"chair", "garbagebin"}
    assert first["map"] == pytest.approx(np.mean(list(first["ap_by_class"].values())))
    assert (first["inputs"], first["weights"], first["num_test"]) == ("height", "random", 1)
    rows = read_report(plain / "results.json", run="r")
    assert [row["metric"] for row in rows] == ["map", "average_recall"] * 2
    assert rows[0]["setting"].startswith("8 proposals, 2 epochs of 2, lr 0.001, points with height")


def test_the_defaults_and_schedules_are_the_published_ones(root, tmp_path, monkeypatch):
    args = train_detection.parse_args(["--dataset", "sunrgbd", "--backbone", "sr_unet"])
    made = DetectorSettings.read(vars(args)).filled()
    assert (made.epochs, made.lr, made.batch_size, made.num_proposals) == (180, 0.001, 8, 256)
    assert (made.voxel_size, made.plan, made.kernel_order) == (0.025, "34C", "cube")
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1.0)
    rate = detector_schedule(optimizer, 180, steps=5).lr_lambdas[0]
    changes = [(step / 5, round(rate(step), 9)) for step in range(900) if step and rate(step) != rate(step - 1)]
    assert changes == [(80, 0.1), (120, 0.01), (160, 0.001)]

    training = built_by(lambda: run(root, tmp_path, "--steps", 3))
    assert training.settings.epochs == 3
    monkeypatch.undo()
    norms = [module for module in training.method.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for epoch, momentum in ((0, 0.5), (19, 0.5), (20, 0.25), (179, 0.5 / 256), (200, 0.001)):
        training.before_epoch(epoch)
        assert {norm.momentum for norm in norms} == {momentum}


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    """A file of a narrow SR-UNet, as scripts.pretrain_scenes leaves it: without a last layer."""
    monkeypatch.setitem(PLANS, "tiny", Plan((1, 2, 1, 1, 1, 1, 1, 1), (8,) * 8))
    torch.manual_seed(3)
    torch.save(backbone_state(SRUNet(3, 32, "tiny"), voxel_size=0.1), tmp_path / "unet.pth")
    return tmp_path / "unet.pth"


def test_a_pre_trained_sr_unet_is_taken_without_its_last_layer_and_trained(root, pretrained, tmp_path, capsys):
    flags = ("--backbone", "sr_unet", "--model_path", pretrained, "--voxel_size", 0.1, "--epochs", 1)
    options = {"dataset": "sunrgbd"}
    start = built_by(lambda: run(root, tmp_path / "start", *flags, **options))
    given, own = read_weights(pretrained), start.method.network.backbone_net.unet.state_dict()
    assert same(
        {k: v for k, v in given.items() if "final" not in k}, {k: v for k, v in own.items() if "final" not in k}
    )
    assert own["final.kernel"].shape == (8, 256)

    record = results(run(root, tmp_path, *flags, "--mean_sizes", "train", **options))[0]
    assert (record["weights"], record["checkpoint"], record["inputs"]) == ("checkpoint", str(pretrained), "colour")
    assert record["plan"] == "tiny"  # the file's; one table line with a training of this size from scratch
    np.testing.assert_allclose(record["mean_sizes_m"][3], (0.8, 0.4, 0.6), rtol=1e-6)  # of the chairs of train

    message = error_of(lambda: run(root, tmp_path, *flags, "--inputs", "height", "--overwrite", **options), capsys)
    assert f"{pretrained} takes 3 channels of a voxel, --inputs height gives 1" in message
    message = error_of(lambda: run(root, tmp_path, "--model_path", pretrained), capsys)
    assert "pass --backbone sr_unet" in message
    message = error_of(lambda: run(root, tmp_path, *flags, "--plan", "34C", "--overwrite", **options), capsys)
    assert f"{pretrained} is an SR-UNet tiny, got --plan 34C; pass --plan tiny" in message
    torch.save({k: v for k, v in given.items() if k != "bn0.bn.bias"}, pretrained)
    message = error_of(lambda: run(root, tmp_path, *flags, "--overwrite", **options), capsys)
    assert str(pretrained) in message
    assert "bn0.bn.bias" in message


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--plan", "14A"), "--plan belongs to --backbone sr_unet"),
        (("--voxel_size", 0.1), "--voxel_size belongs to --backbone sr_unet"),
        (("--backbone", "sr_unet", "--kernel_order", "cube"), "--kernel_order belongs to --model_path"),
    ],
)
def test_flags_of_a_network_that_is_not_built_are_refused(flags, message, root, tmp_path, capsys):
    assert message in error_of(lambda: run(root, tmp_path, *flags), capsys)


def test_data_may_move_between_sessions_but_not_change(root, tmp_path):
    with interrupted_in(1):
        run(root, tmp_path, "--num_pictures", 0)
    moved = shutil.copytree(root, tmp_path / "moved rooms")
    names = (root / "scannetv2_train.txt").read_text().split()
    (moved / "scannetv2_train.txt").write_text("\n".join(names[:2]))
    with pytest.raises(ValueError, match="was trained on 3 samples, --data_root .*moved rooms holds 2"):
        run(moved, tmp_path, "--num_pictures", 0, "--resume")
    (moved / "scannetv2_train.txt").write_text("\n".join(names))
    assert results(run(moved, tmp_path, "--num_pictures", 0, "--resume"))[0]["data"] == str(moved)


def test_val_without_colours_is_refused_before_a_run_begins(root, tmp_path, capsys):
    rooms = shutil.copytree(root, tmp_path / "rooms")
    cloud = rooms / "sunrgbd_pc_bbox_votes_50k_v1_val" / "000003_pc.npz"
    np.savez(cloud, pc=np.load(cloud)["pc"][:, :3])
    message = error_of(lambda: run(rooms, tmp_path, "--inputs", "colour", dataset="sunrgbd"), capsys)
    assert f"{cloud} has no colours; train without them: --inputs height" in message
    assert not (tmp_path / "tiny").exists()


def test_any_damaged_scene_of_val_is_refused_before_a_run_begins(root, tmp_path, capsys):
    rooms = shutil.copytree(root, tmp_path / "rooms")
    write_scan(rooms, "scene0004_00")
    (rooms / "scannetv2_val.txt").write_text("scene0003_00\nscene0004_00")
    mesh = rooms / "scans" / "scene0004_00" / "scene0004_00_vh_clean_2.ply"
    mesh.write_bytes(mesh.read_bytes()[:-5])
    assert str(mesh) in error_of(lambda: run(rooms, tmp_path), capsys)
    assert not (tmp_path / "tiny").exists()


def test_scenes_that_are_trained_on_and_scored_on_are_refused_before_a_run_begins(root, tmp_path, capsys):
    rooms = shutil.copytree(root, tmp_path / "rooms")
    lists = [rooms / f"scannetv2_{split}.txt" for split in ("train", "val")]
    lists[1].write_text("scene0003_00\nscene0002_00\nscene0001_00")
    message = error_of(lambda: run(rooms, tmp_path), capsys)
    assert f"{lists[0]} and {lists[1]} both have 2 scenes, first scene0001_00, scene0002_00: take" in message
    folders = [rooms / f"sunrgbd_pc_bbox_votes_50k_v1_{split}" for split in ("train", "val")]
    write_prepared(folders[1], "000002")
    message = error_of(lambda: run(rooms, tmp_path, dataset="sunrgbd"), capsys)
    assert f"{folders[0]} and {folders[1]} both have 1 scenes, first 000002: take them out of one" in message
    assert not (tmp_path / "tiny").exists()


def test_scenes_in_millimetres_are_noted(root, tmp_path):
    rooms = shutil.copytree(root, tmp_path / "rooms")
    for name in ("scene0000_00", "scene0003_00"):  # the first of train, which is read, and that of val
        shutil.rmtree(rooms / "scans" / name)
        write_scan(rooms, name, scale=1000)
    log = log_of(run(rooms, tmp_path, "--epochs", 1, "--num_pictures", 0))
    line = "note: scene0000_00 is 1500 m high along z (outside 1 to 12 m: 2 of 2 rooms read); rooms are taken in"
    assert line in log


def test_flat_boxes_have_no_mean_size(root, tmp_path, capsys):
    message = error_of(lambda: run(root, tmp_path, "--mean_sizes", "train"), capsys)  # of two or three points each
    assert f"{root}: all boxes of chair, garbagebin to train on are flat" in message


def test_a_folder_without_boxes_is_refused_before_a_run_begins(root, tmp_path, capsys):
    for split, name in (("train", "scene0009_00"), ("val", "scene0010_00")):
        (write_scan(tmp_path, name, labelled=False) / f"{name}.txt").write_text("sceneType = Office\n")
        (tmp_path / f"scannetv2_{split}.txt").write_text(f"{name}\n")
    message = error_of(lambda: run(tmp_path, tmp_path / "out"), capsys)
    assert "scene0009_00 has no boxes" in message
    assert not (tmp_path / "out").exists()
