"""scripts.train_semseg end to end on rooms of a floor and a box."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from datasets.scenes.room_sets import TRAIN, choose_rooms, list_split
from models.encoders.scenes.sr_unet import SRUNet
from models.weights.sr_unet_file import backbone_state, load_sr_unet
from scripts import plot_semseg, train_semseg
from tests.support.entry_programs import call, error_of
from tests.support.interruption import interrupted_in
from tests.support.light_runs import built_by, metrics, results, same, weights
from tests.support.real_scenes import write_scan
from tests.support.tiny_rooms import COMMAND, write_box_rooms
from utils.results.result_records import read_report
from utils.results.result_tables import results_table

TINY = f"--exp_name tiny {COMMAND}"


pytestmark = pytest.mark.usefixtures("light_rooms")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_box_rooms(tmp_path_factory.mktemp("rooms"))


def train(root, out, *extra, steps=4, epochs=2):
    length = ("--steps", steps, "--epochs", epochs)
    call(train_semseg, *TINY.split(), *length, "--data_root", root, "--output_dir", out, *extra)
    return out / "tiny"


@pytest.fixture(scope="module")
def plain(root, tmp_path_factory):
    """Run folder of a training that is long enough to learn."""
    return train(root, tmp_path_factory.mktemp("plain"), "--votes", 2, steps=8)


def test_a_tiny_network_learns_to_tell_a_box_from_the_floor(plain):
    own, voted = results(plain)
    assert own["miou"] > 0.8
    assert own["iou_by_class"]["floor"] > 0.8
    assert own["iou_by_class"]["wall"] is None
    assert (own["voting"], voted["voting"]) == (False, 2)
    assert voted["miou"] > 0.8
    assert (plain / "room_clouds.npz").is_file()  # for scripts.report
    assert (own["variant"], own["split"], own["num_train"], own["num_test"]) == ("Area 5", "test", 3, 1)


def test_a_resumed_training_ends_as_without_bit_for_bit(root, plain, tmp_path):
    with interrupted_in(1):
        train(root, tmp_path, "--votes", 2, steps=8)
    with pytest.raises(ValueError, match="--label_fraction was 1.0, now 0.5"):
        train(root, tmp_path, "--resume", "--label_fraction", 0.5, steps=8)
    run_dir = train(root, tmp_path, "--resume", "--votes", 2, steps=8)
    assert same(weights(plain), weights(run_dir))
    assert metrics(plain) == metrics(run_dir)
    assert results(plain)[1]["miou"] == results(run_dir)[1]["miou"]


def test_the_file_of_a_run_is_tested_again_with_the_same_figures(root, plain, tmp_path):
    table = tmp_path / "again.json"
    path = plain / "models" / "best_model.pth"
    again = ("--eval", "--model_path", path, "--json", table, "--data_root", root, "--device", "cpu")
    call(train_semseg, *again)
    rows = read_report(table)
    assert next((row["metric"], row["encoder"], row["model"]) for row in rows) == ("miou", "random", "sr_unet 14A")
    assert {f"{results(plain)[0]['miou']:.6f}"} == {row["value"] for row in rows if row["metric"] == "miou"}
    line = results_table(rows).splitlines()[2]
    assert "| s3dis Area 5 | sr_unet 14A | semantic segmentation, points of whole rooms, 100 % of the rooms" in line
    assert "voxel 0.2, batch_size 2, lr 0.3, steps 8 | mIoU |" in line
    with pytest.raises(ValueError, match="was trained with test_area 5, got 1"):
        call(train_semseg, *again, "--test_area", 1)
    with pytest.raises(ValueError, match=r"was trained with voxel 0\.2, got 0\.1"):
        call(train_semseg, *again, "--voxel", 0.1)


LINEAR_STILL = ("block1.", "convtr4", "block8.")


@pytest.mark.parametrize(
    ("probe", "still"), [("linear", LINEAR_STILL), ("linear_bn", LINEAR_STILL), ("decoder", ("block1.",))]
)
def test_a_probe_leaves_what_is_before_it_untouched(root, plain, tmp_path, probe, still):
    path = plain / "models" / "best_model.pth"
    start = load_sr_unet(path, "cube").state_dict()
    run_dir = train(root, tmp_path, "--probe", probe, "--model_path", path, steps=1, epochs=1)
    end = load_sr_unet(run_dir / "models" / "best_model.pth", "cube").state_dict()
    moved = {key for key in start if not torch.equal(start[key], end[key])}
    assert "final.kernel" in moved
    assert not [key for key in moved if key.startswith(("conv0", "bn0", *still))]
    assert any(key.startswith("block8.") for key in moved) == (probe == "decoder")
    assert results(run_dir)[0]["checkpoint"] == str(path)


def test_the_defaults_are_the_published_ones(root, tmp_path):
    flags = ("--data_root", root, "--output_dir", tmp_path, "--device", "cpu", "--num_workers", 0)
    training = built_by(lambda: call(train_semseg, *flags))
    group, settings = training.optimizer.param_groups[0], training.settings
    constants = (group["momentum"], group["dampening"], group["weight_decay"], settings.voxel, settings.batch_size)
    assert (training.schedule.base_lrs, *constants) == ([0.1], 0.9, 0.1, 1e-4, 0.05, 18)
    assert settings.epochs * len(training.loader) == 20000
    assert training.schedule.lr_lambdas[0](10000) == pytest.approx(0.5**0.9, rel=1e-3)
    assert {part.momentum for part in training.method.modules() if isinstance(part, nn.BatchNorm1d)} == {0.02}
    scannet = train_semseg.SemsegSettings.read(vars(train_semseg.parse_args([]))).for_rooms("scannet", 1201)
    assert (scannet.voxel, scannet.batch_size, scannet.lr, scannet.plan) == (0.02, 48, 0.8, "34C")


def test_a_share_of_the_rooms_is_part_of_a_larger_one(root):
    rooms = list_split(root, "s3dis", TRAIN)
    assert [room.name for room in rooms] == ["office_0", "office_1", "office_2"]
    assert choose_rooms(rooms, 1.0, 3) == rooms
    one, two = choose_rooms(rooms, 0.01, 3), choose_rooms(rooms, 0.6, 3)
    assert (len(one), len(two)) == (1, 2)
    assert set(one) < set(two)
    assert {choose_rooms(rooms, 0.01, seed)[0] for seed in range(9)} == set(rooms)


def write_unet(path, **shape):
    torch.save(SRUNet(**shape).state_dict(), path)
    return path


def test_a_start_of_another_first_kernel_is_resumed_too(root, tmp_path):
    path = tmp_path / "five.pth"  # as scripts.pretrain_scenes leaves it, without a last layer
    torch.save(backbone_state(SRUNet(plan="14A", conv1_size=5, out_channels=32), voxel_size=0.2), path)
    with interrupted_in(1):
        train(root, tmp_path, "--model_path", path, steps=2)
    train(root, tmp_path, "--model_path", path, "--resume", steps=2)
    trained = load_sr_unet(tmp_path / "tiny" / "models" / "best_model.pth", "cube")
    assert (trained.conv0p1s1.size, trained.final.kernel.shape[1]) == (5, 13)


def test_what_does_not_fit_is_refused_by_name(root, plain, tmp_path, capsys):
    def message(*flags, data=root):
        return error_of(lambda: train(data, tmp_path / "run", *flags), capsys)

    assert "Area_7; pass as --test_area one of those in" in message("--test_area", 7)
    assert "no room in" in message(data=tmp_path / "nothing")
    assert "no other area than Area_5" in message(data=write_box_rooms(tmp_path / "single", (5,)))
    unlabelled = write_box_rooms(tmp_path / "unlabelled", (1, 5))
    shutil.rmtree(unlabelled / "Area_1" / "office_0" / "Annotations")
    assert "office_0 has no labels: no" in message(data=unlabelled)
    other = write_unet(tmp_path / "other.pth", plan="18A")
    assert "is an SR-UNet 18A, got --plan 14A; pass --plan 18A" in message("--model_path", other)
    wide = write_unet(tmp_path / "wide.pth", plan="14A", in_channels=4)
    assert "takes 4 numbers of a voxel" in message("--model_path", wide)
    torch.save({"a": torch.zeros(1)}, tmp_path / "none.pth")
    assert "no SR-UNet" in message("--model_path", tmp_path / "none.pth")
    assert "holds no network of scripts.train_semseg" in message("--eval", "--model_path", other)


def test_scannet_is_trained_on_its_list_and_scored_on_val(tmp_path):
    for number in range(3):
        write_scan(tmp_path, f"scene000{number}_00")
    (tmp_path / "scannetv2_train.txt").write_text("scene0000_00\nscene0002_00\n")
    (tmp_path / "scannetv2_val.txt").write_text("scene0001_00\n")
    run_dir = train(tmp_path, tmp_path, "--dataset", "scannet", "--voxel", 0.02, steps=1, epochs=1)
    (found,) = results(run_dir)
    assert (found["split"], found["num_train"], found["num_test"], found["num_classes"]) == ("val", 2, 1, 20)
    assert np.isfinite(found["miou"])


def test_lists_without_a_scene_and_rooms_without_a_class_are_refused_before_a_run_begins(tmp_path, capsys):
    names = ("scene0000_00", "scene0001_00")
    labels = [write_scan(tmp_path, name) / f"{name}_vh_clean_2.labels.ply" for name in names]
    lists = [tmp_path / f"scannetv2_{split}.txt" for split in ("train", "val")]

    def message():
        said = error_of(lambda: train(tmp_path, tmp_path / "out", "--dataset", "scannet", steps=1, epochs=1), capsys)
        assert not (tmp_path / "out").exists()
        return said

    for empty in lists:
        for path, name in zip(lists, names):
            path.write_text("" if path == empty else name)
        assert f"{empty.name} names no scene; expected one a line" in message()
    for path, name in zip(lists, names):
        path.write_text(name)
    for path, split in zip(labels, ("train", "test")):
        sound = path.read_bytes()
        path.write_text("ply\nformat ascii 1.0\nelement vertex 6\nproperty ushort label\nend_header\n" + "40\n" * 6)
        assert f"no point of the rooms to {split} on has a label of a class, 1 rooms, first scene000" in message()
        path.write_bytes(sound)


def test_scenes_of_the_list_train_in_val_are_refused_before_a_run_begins(tmp_path, capsys):
    names = [f"scene000{number}_00" for number in range(3)]
    for name in names:
        write_scan(tmp_path, name)
    lists = [tmp_path / f"scannetv2_{split}.txt" for split in ("train", "val")]
    lists[0].write_text("\n".join(names[:2]))
    lists[1].write_text("\n".join(names[1:]))
    for share in (1.0, 0.5):  # also where the share that is drawn has none of them
        flags = ("--dataset", "scannet", "--label_fraction", share)
        said = error_of(lambda flags=flags: train(tmp_path, tmp_path / "out", *flags, steps=1, epochs=1), capsys)
        assert f"{lists[0]} and {lists[1]} both have 1 scenes, first {names[1]}: take them out of one" in said
        assert not (tmp_path / "out").exists()


def test_a_stray_point_is_refused_by_the_room_before_a_run_begins(root, tmp_path, capsys):
    for area in (1, 5):
        data = shutil.copytree(root, tmp_path / f"far_{area}")
        (file, *_) = data.glob(f"Area_{area}/*/Annotations/floor_1.txt")
        with file.open("a") as stream:
            stream.write("-90000 0 0 1 2 3\n")
        message = error_of(lambda data=data: train(data, tmp_path / "run", steps=1, epochs=1), capsys)
        assert f"Area_{area}/{file.parts[-3]}: its points lie up to 90,04" in message
        assert "26,200 m are possible with voxels of 0.2 m: remove stray points far from the room" in message
    assert not (tmp_path / "run").exists()


def test_rooms_in_millimetres_are_noted_in_training_and_in_testing(tmp_path, capsys):
    for number, split in enumerate(("train", "val")):
        write_scan(tmp_path, f"scene000{number}_00", scale=1000)
        (tmp_path / f"scannetv2_{split}.txt").write_text(f"scene000{number}_00\n")
    flags = ("--dataset", "scannet", "--voxel", 20.0)
    run_dir = train(tmp_path, tmp_path, *flags, steps=1, epochs=1)
    note = "note: scene000{} is 1500 m high along z{}; rooms are taken in metres and z up"
    assert note.format("0_00", " (outside 1 to 12 m: 2 of 2 rooms read)") in (run_dir / "run.log").read_text()
    capsys.readouterr()
    train(tmp_path, tmp_path, *flags, "--eval")
    assert note.format("1_00", "") in capsys.readouterr().out


def test_rooms_are_drawn_with_truth_and_prediction_of_the_run(root, plain, tmp_path, monkeypatch):
    drawn = []
    panel = plot_semseg.segmentation_panel
    monkeypatch.setattr(plot_semseg, "segmentation_panel", lambda *given: drawn.append(given) or panel(*given))
    out = tmp_path / "rooms.png"
    call(plot_semseg, plain, "--data_root", root, "--out", out, "--device", "cpu")
    ((rooms, class_names),) = drawn
    with Image.open(out) as picture:
        assert picture.width > 300
    (room,) = rooms  # Area 5 has one
    right = (room.predicted == room.scene.labels)[room.scene.labels != 255]
    assert right.mean() == pytest.approx(results(plain)[0]["accuracy"])
    legend = [text.get_text() for text in panel(rooms, class_names).legends[0].get_texts()]
    assert "floor" in legend
    with pytest.raises(ValueError, match=r"--first 1, but .* has 1 rooms that .*tiny scores"):
        call(plot_semseg, plain, "--data_root", root, "--out", out, "--device", "cpu", "--first", 1)
