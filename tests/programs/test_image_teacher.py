"""train_crosspoint.py with a frozen image teacher."""

from unittest.mock import patch

import numpy as np
import pytest
import torch

from datasets.pairs.shapenet_render import ShapeNetRender
from models.weights.published import load_encoder
from tests.support.interruption import stopped_after
from tests.support.light_runs import flags_of, log_of, metrics, same, weights
from tests.support.pretraining_runs import train, write_pairs
from tests.support.toy_teacher import toy_teacher
from utils.multiview.image_teacher import ImageTeacherSettings
from utils.pretraining.pair_loader import SourceSettings

pytestmark = pytest.mark.usefixtures("light_training")
TAUGHT = ("--image_teacher", "imagenet", "--emb_dims", "32")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def taught(root, tmp_path_factory, light_training):
    with toy_teacher():
        return train(root, tmp_path_factory.mktemp("taught"), *TAUGHT)


def test_both_terms_train_no_image_network_and_labels_are_recorded(taught):
    for term in ("loss/imid", "loss/cmid"):
        assert np.isfinite(metrics(taught, term)).all()
    assert {name.split(".")[0] for name in weights(taught)} == {"point_encoder", "point_head", "image_head"}
    assert flags_of(taught)["image_teacher_labels"] == "ImageNet"
    assert load_encoder(taught / "models" / "best_model.pth").name == "pointnet"
    assert (taught / "models" / "teacher_head_best.pth").is_file()


def test_a_stopped_run_ends_as_one_that_is_not_and_reads_no_image(root, taught, tmp_path):
    with toy_teacher(), stopped_after(1):
        train(root, tmp_path, *TAUGHT)
    with toy_teacher(2.0), pytest.raises(ValueError, match="--image_teacher_sha256 was"):
        train(root, tmp_path, *TAUGHT, "--resume")
    with toy_teacher(), patch.object(ShapeNetRender, "read_pixels", side_effect=AssertionError("an image is read")):
        run_dir = train(root, tmp_path, *TAUGHT, "--resume")
    assert "teacher: features found in" in log_of(run_dir)
    assert same(weights(taught), weights(run_dir))


def test_what_the_teacher_says_decides_what_is_learned(root, taught, tmp_path):
    with patch("utils.multiview.view_rows.ViewRows.row", lambda rows, index: np.zeros(8, np.float32)), toy_teacher():
        run_dir = train(root, tmp_path, *TAUGHT)
    assert metrics(run_dir, "loss/cmid")[0] != metrics(taught, "loss/cmid")[0]


def test_clouds_are_augmented_on_the_device_in_micro_batches_and_bad_views_skipped(root, tmp_path):
    damaged = write_pairs(tmp_path / "data")
    (damaged / "ShapeNetRendering/02/03/rendering/01.png").write_bytes(b"none")
    flags = ("--augment", "device", "--micro_batch", "2", "--batch_size", "4", "--on_bad_sample", "skip")
    local = ("--local_clouds", "1", "--local_points", "16")
    with toy_teacher():
        run_dir = train(damaged, tmp_path / "out", *TAUGHT, *flags, "--max_bad_rate", "0.9", *local)
    for term in ("loss/total", "loss/local"):
        assert len(values := metrics(run_dir, term)) > 0
        assert np.isfinite(values).all()
    assert "the teacher could not see 1 shapes" in log_of(run_dir)
    assert f"skipped {damaged}/ShapeNet/02/03.ply" in log_of(run_dir)


def test_the_flags_of_the_teacher_decide_what_it_sees_and_where_that_is_kept(root, tmp_path):
    def folder(size=None, background="black", cache=""):
        settings = ImageTeacherSettings(image_teacher="imagenet", teacher_size=size, teacher_cache=cache)
        data = SourceSettings(data_root=str(root), background=background)
        with toy_teacher():
            rows, _ = settings.see(data, tmp_path / "cache", torch.device("cpu"), report=print)
        return rows.folder

    assert folder() == folder(size=8)  # the teacher's own
    assert len({folder(), folder(size=9), folder(background="white")}) == 3
    assert folder(cache=str(tmp_path / "own")).parent == tmp_path / "own"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--image_teacher", "a.pth"], "say by --teacher_labels what labels it has learned from"),
        (["--image_teacher", "imagenet", "--teacher_labels", "none"], "--teacher_labels belongs to a file"),
        (["--image_teacher", ""], "--image_teacher is empty"),
        ([*TAUGHT, "--image_weights", "imagenet"], "which --image_teacher replaces"),
        ([*TAUGHT, "--cmid_views", "2"], "a teacher sees all views"),
        ([*TAUGHT, "--compose", "0.5"], "--image_teacher has seen each alone"),
        (["--image_teacher", "a.pth", "--teacher_labels", "none"], "no image teacher at a.pth"),
        ([*TAUGHT, "--background", "random"], "--image_teacher sees each view once, before the training; pass black"),
        ([*TAUGHT, "--shards", "folder"], "--shards hold one view of each shape a pass, a teacher sees all"),
    ],
)
def test_bad_settings_are_refused(root, tmp_path, flags, message):
    with pytest.raises((ValueError, OSError), match=message):
        train(root, tmp_path, *flags)


def test_a_teacher_without_its_term_is_refused(root, tmp_path):
    with toy_teacher(), pytest.raises(ValueError, match="--cmid_weight 0 leaves the teacher out"):
        train(root, tmp_path, *TAUGHT, "--cmid_weight", "0")
