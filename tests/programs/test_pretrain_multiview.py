"""The two stages of multi-view pre-training: from views to a teacher, from a teacher to a point encoder."""

import shutil
from pathlib import Path

import pytest
import torch

from datasets.pairs.pixel_pairs import PixelPairs
from models.encoders.images import efficientnet_lite
from models.weights.published import load_encoder
from models.weights.teacher_file import load_teacher
from scripts import pretrain_multiview
from tests.support.interruption import stopped_after
from tests.support.light_runs import log_of, metrics
from tests.support.multiview_runs import train_images, train_points, write_taught, write_teacher
from tests.support.published_views import write_shape
from tests.support.tiny_trees import pack
from utils.files import write_npz
from utils.multiview.image_teacher import TEACHER_LABELS
from utils.run.folder import read_config
from utils.run.names import CONFIG_FILE


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_taught(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp("teacher") / "t.pth")


@pytest.fixture(scope="module")
def images(root, tmp_path_factory):
    """Run folder of the first stage."""
    return train_images(root, tmp_path_factory.mktemp("images"))


def state_of(run_dir):
    return torch.load(run_dir / "last.pt", weights_only=False)["method"]


def check_equal(run_dir, other):
    found, expected = state_of(run_dir), state_of(other)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert metrics(run_dir) == metrics(other)


def test_views_teach_points(root, images, tmp_path):
    assert len(metrics(images, "loss/views")) == 2
    teacher = images / "models/teacher_last.pth"
    before = teacher.read_bytes()
    flags = ("--model", "pointnet_tnet", "--image_size", "16")
    points = train_points(root, tmp_path / "points", *flags, teacher=teacher)
    assert "warning: the teacher was trained on 9 x 9 pixels, here it sees --image_size 16" in log_of(points)
    assert [len(metrics(points, f"loss/{name}")) for name in ("global", "local", "transform")] == [2, 2, 2]
    assert teacher.read_bytes() == before
    loaded = load_encoder(points / "models/best_model.pth")
    assert (loaded.name, loaded.stored["run"]["method"]) == ("pointnet_tnet", "MultiView")
    assert (points / "models/heads_last.pth").is_file()
    state = load_encoder(points / "last.pt").encoder.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in loaded.encoder.state_dict().items())


def test_the_teacher_takes_no_part_in_the_training(root, teacher, tmp_path):
    run_dir = train_points(root, tmp_path, teacher=teacher)
    names = state_of(run_dir).keys()
    assert {name.split(".")[0] for name in names} == {"point_encoder", "object_head", "point_head", "pixel_head"}
    assert load_teacher(teacher).training is False


@pytest.mark.parametrize("train", [train_images, train_points])
def test_a_stopped_run_goes_on_exactly(root, images, tmp_path, train):
    whole = images if train is train_images else train(root, tmp_path / "whole")
    with stopped_after(1):
        train(root, tmp_path / "stopped")
    check_equal(train(root, tmp_path / "stopped", "--resume"), whole)


def test_a_run_does_not_go_on_with_another_teacher_of_the_same_name(root, tmp_path):
    teacher = write_teacher(tmp_path / "t.pth")
    with stopped_after(1):
        train_points(root, tmp_path, teacher=teacher)
    write_teacher(teacher, seed=1)
    with pytest.raises(ValueError, match="cannot resume with other settings.*--teacher_sha256 was [0-9a-f]+, now"):
        train_points(root, tmp_path, "--resume", teacher=teacher)


def test_packed_files_and_trees_train_alike(root, teacher, tmp_path):
    packed = pack(root, tmp_path / "p.h5")
    flags = ("--selection", "sps", "--rotation", "y", "--max_dropout", "0.5", "--jitter", "0.01", "--mask_same_point")
    trees = train_points(root, tmp_path / "trees", *flags, teacher=teacher)
    check_equal(train_points(root, tmp_path / "packed", *flags, "--packed", packed, teacher=teacher), trees)


def test_micro_batches_train_all_terms(root, teacher, tmp_path):
    run_dir = train_points(root, tmp_path, "--micro_batch", "2", "--batch_size", "4", teacher=teacher)
    assert [len(metrics(run_dir, f"loss/{name}")) for name in ("global", "local")] == [2, 2]


def test_images_need_no_cloud(root, tmp_path):
    data = shutil.copytree(root, tmp_path / "data")
    (data / "ShapeNet/02/00.ply").write_bytes(b"none")
    assert len(metrics(train_images(data, tmp_path / "out", "--epochs", "1"), "loss/views")) == 1


def test_damaged_pairs_are_refused_by_name(root, teacher, tmp_path):
    data = shutil.copytree(root, tmp_path / "data")
    place = data / "ShapeNetRendering/02/03/pairs.npz"
    table = PixelPairs(torch.tensor([0, 0, 1]).numpy(), torch.tensor([100]).int().numpy(), torch.zeros(1, 2).numpy())
    write_npz(place, **table._replace(place=table.place.astype("uint16"))._asdict())
    with pytest.raises(ValueError, match="02/03/pairs.npz.*point 100, the cloud has 100"):
        train_points(data, tmp_path / "out", teacher=teacher)
    (data / "ShapeNetRendering/02/00/rendering/01.png").write_bytes(b"none")
    skip = ("--on_bad_sample", "skip", "--max_bad_rate", "0.9")
    log = log_of(train_points(data, tmp_path / "tolerant", *skip, teacher=teacher))
    assert "the teacher could not see 1 shapes" in log
    assert all(f"warning: skipped {data}/ShapeNet/02/{shape}.ply" in log for shape in ("00", "03"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--views", "1"], "0 pixels are paired with its first 64 points in its first 1 views, 0 of them after"),
        (["--views", "3"], "2 views, --views 3 are asked for"),
        (["--num_points", "101"], "holds 100 points, 101 are needed"),
        (["--global_weight", "0", "--local_weight", "0"], "both must be >= 0 and one of them > 0"),
        (["--teacher_stem", "standard"], "one cell of a whole view.* pass --image_size 64 or more"),
        (["--augment", "device"], "--augment device would move points away from their pairs"),
        (["--crop_min", "0.4"], "--crop_min would take points away from their pairs"),
        (["--background", "random"], "--background random: --teacher sees each view once, before the training; pass"),
        (["--teacher", ""], "a training needs a --teacher"),
        (
            ["--teacher", "dgcnn-open"],
            "no image network at --teacher dgcnn-open; a teacher is random, imagenet, imagenet_lite, or "
            r"models/teacher_last.pth of python -m scripts.pretrain_images$",
        ),
    ],
)
def test_bad_settings_are_refused(root, tmp_path, flags, message):
    with pytest.raises((ValueError, OSError), match=message):
        train_points(root, tmp_path, *flags)


def test_labels_of_an_imagenet_teacher_are_recorded(root, tmp_path, monkeypatch):
    torch.save(efficientnet_lite.EfficientNetLite0().state_dict(), tmp_path / "w.pth")
    monkeypatch.setattr(efficientnet_lite, "installed_weights", lambda: tmp_path / "w.pth")
    flags = ("--image_size", "32", "--map_layer", "2", "--epochs", "1")
    run_dir = train_points(root, tmp_path / "out", *flags, teacher="imagenet_lite")
    assert read_config(run_dir / CONFIG_FILE)["flags"][TEACHER_LABELS] == "ImageNet"
    assert "warning: the teacher was trained on 160 x 160 pixels" in log_of(run_dir)
    monkeypatch.chdir(tmp_path)
    write_teacher(Path("imagenet_t.pth"))  # a file of this name is none
    own = train_points(root, tmp_path / "own", "--epochs", "1", teacher="imagenet_t.pth")
    assert TEACHER_LABELS not in read_config(own / CONFIG_FILE)["flags"]


def test_scoring_alone_needs_no_teacher(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="no labelled data set"):
        pretrain_multiview.main(pretrain_multiview.parse_args(["--eval", "--data_root", str(root), "--device", "cpu"]))


def test_a_tree_without_pairs_names_the_command_that_makes_them(root, tmp_path):
    data = shutil.copytree(root, tmp_path / "data")
    for path in data.rglob("pairs.npz"):
        path.unlink()
    with pytest.raises((ValueError, OSError), match="--pairs"):
        train_points(data, tmp_path / "out")


def test_the_published_layout_trains(tmp_path):
    root = tmp_path / "ModelNet40"
    for number, name in enumerate(("sofa/sofa_2", "bed/bed_10", "bed/bed_9", "bed/bed_8")):
        write_shape(root, name, number)
    write_shape(root, "bed/bed_7", 5, views=())
    (root / "modelnet_id.txt").write_text("sofa\t1\nbed\t0\n")
    images = train_images(root, tmp_path / "images", "--epochs", "1")
    teacher = images / "models/teacher_last.pth"
    run_dir = train_points(root, tmp_path, "--num_points", "1024", "--pairs", "512", teacher=teacher)
    assert len(metrics(run_dir, "loss/local")) == 2
    assert "1 shapes without a view are left out, such as bed/bed_7" in log_of(run_dir)
