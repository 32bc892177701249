"""Self-training without labels: from aligned towers to scored ones, going on exactly, and blind to classes."""

import json
import shutil

import pytest
import torch

from models.encoders.pointbert import PointBERT
from models.methods.cross_modal_self_training import CrossModalSelfTraining
from models.methods.text_alignment import AlignedTowers, load_towers
from models.text.clip_model import ClipImages
from models.weights.published import load_encoder
from scripts import eval_zeroshot, train_crossmost
from tests.support.alignment_runs import aligned_towers, toy_texts
from tests.support.entry_programs import call
from tests.support.interruption import stopped_after
from tests.support.light_runs import built_by, flags_of, light, log_of, metrics, same, weights
from tests.support.several_processes import run_in_processes
from tests.support.tiny_trees import pack, write_shapenet
from tests.support.toy_texts import TINY_CLIP, ToyTexts
from tests.support.toy_towers import Flat
from utils.texts.self_trainer import rate_groups, warm_cosine

pytestmark = pytest.mark.usefixtures("light_training")

CLASSES = ("02691156", "03797390", "04379243")  # airplane, mug, table
SHAPES = [f"{CLASSES[number % 3]}/{number:02d}" for number in range(8)]
FLAGS = (
    "--epochs 2 --batch_size 4 --print_freq 1 --num_workers 0 --device cpu --exp_name tiny --num_points 48 "
    "--classes airplane,mug,table --base_lr 0.01 --threshold 0.3 --image_threshold 0.3 --points_threshold 0.3"
).split()


@pytest.fixture(scope="module")
def towers(tmp_path_factory, light_training):
    """Towers of a short alignment on other shapes."""
    return aligned_towers(tmp_path_factory)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_shapenet(tmp_path_factory.mktemp("tree"), SHAPES, num_views=2, size=16)


def train(towers, root, out, *extra):
    """Run the program; return the run's folder."""
    with toy_texts(), light():
        call(train_crossmost, *FLAGS, "--towers", towers, "--data_root", root, "--output_dir", out, *extra)
    return out / "tiny"


@pytest.fixture(scope="module")
def whole(towers, root, tmp_path_factory):
    return train(towers, root, tmp_path_factory.mktemp("whole"))


def test_a_run_leaves_student_and_teacher_which_are_scored_by_their_own_classifier(whole, root, tmp_path):
    names = {path.name for path in (whole / "models").iterdir()}
    assert names == {"ckpt_epoch_last.pth", "student_last.pth", "teacher_last.pth"}
    student, teacher = (load_towers(whole / f"models/{name}_last.pth") for name in ("student", "teacher"))
    state = weights(whole)
    assert same(teacher.state_dict(), {k[8:]: v for k, v in state.items() if k.startswith("teacher.")})
    assert not same(student.state_dict(), teacher.state_dict())
    assert "points: no group is hidden, the terms masked and local are left out" in log_of(whole)
    shares = metrics(whole, "labels/sure_points")
    assert len(shares) == 2
    assert f"points {100 * shares[1]:.1f} %" in log_of(whole).split("epoch 1 trusted labels: ")[1].split("\n")[0]
    encoders = [load_encoder(whole / name).encoder.state_dict() for name in ("last.pt", "models/ckpt_epoch_last.pth")]
    assert same(*encoders)
    assert same(encoders[0], student.point_encoder.state_dict())
    assert set(student.class_names) == {"airplane", "mug", "table"}
    words = ("--data_root", root, "--dataset", "shapes", "--num_points", 48, "--device", "cpu")  # no text tower
    for name in ("student", "teacher"):
        file = whole / f"models/{name}_last.pth"
        call(eval_zeroshot, "--towers", file, *words, "--json", tmp_path / "r.json", "--prototypes")
        found = json.loads((tmp_path / "r.json").read_text())["results"]
        assert [record["protocol"] for record in found] == ["points", "image", "views", "both"]
        assert {(record["classifier"], record["prototype_share"]) for record in found} == {("trained", 0.5)}
    fewer = write_shapenet(tmp_path / "fewer", [f"{CLASSES[1]}/x", f"{CLASSES[2]}/y"], num_views=1)
    call(eval_zeroshot, "--towers", file, *words, "--data_root", fewer, "--json", tmp_path / "r.json")
    record = json.loads((tmp_path / "r.json").read_text())["results"][0]
    assert record["class_names"] == ["airplane", "mug", "table"]
    assert [sum(row) for row in record["confusion"]] == [0, 1, 1]
    with pytest.raises(ValueError, match=r"were trained on the classes airplane, mug, table; they do not know lamp"):
        call(eval_zeroshot, "--towers", file, *words, "--classes", "airplane,mug,table,lamp")


def test_classes_that_folders_are_named_after_are_not_used(towers, root, whole, tmp_path):
    other = shutil.copytree(root, tmp_path / "permuted")
    for tree in ("ShapeNet", "ShapeNetRendering"):
        for name in CLASSES:
            (other / tree / name).rename(other / tree / f"was_{name}")
        for name, new in zip(CLASSES, (*CLASSES[1:], CLASSES[0])):
            (other / tree / f"was_{name}").rename(other / tree / new)
    assert same(weights(train(towers, other, tmp_path)), weights(whole))


def test_an_item_holds_no_label_and_its_clouds_and_images_come_from_one_shape(towers, root, tmp_path):
    items = built_by(lambda: train(towers, root, tmp_path)).loader.dataset
    item = items[0]
    assert item.keys() == {*("points_weak", "points_strong", "points_draws", "image_weak", "image_strong", "index")}
    assert item["points_weak"].shape == item["points_strong"].shape == (48, 3)
    assert item["image_weak"].shape == item["image_strong"].shape == (3, 16, 16)
    assert "02691156/00" in items.files(0)
    assert "03797390/01" in items.files(1)
    assert torch.equal(items[0]["image_strong"], item["image_strong"])
    items.set_epoch(1)
    assert not torch.equal(items[0]["points_weak"], item["points_weak"])


def test_a_stopped_run_goes_on_exactly_with_its_teacher(towers, root, whole, tmp_path):
    with stopped_after(1):
        train(towers, root, tmp_path)
    assert weights(tmp_path / "tiny")["counts"].tolist() == [4, 4, 4]  # one batch, of which all is trusted
    assert same(weights(train(towers, root, tmp_path, "--resume")), weights(whole))
    for key in ("loss/total", "labels/sure_image"):
        assert metrics(tmp_path / "tiny", key) == metrics(whole, key)


def test_a_packed_file_trains_as_the_trees_do(towers, root, whole, tmp_path):
    assert same(weights(train(towers, root, tmp_path, "--packed", pack(root, tmp_path / "p.h5"))), weights(whole))


def test_two_processes_train_what_one_does(towers, root, tmp_path):
    slow = ("--base_lr", "1e-5", "--published_losses", "--alignment_weight", "0")
    one = train(towers, root, tmp_path / "one", *slow)
    run_in_processes(train, 2, tmp_path, towers, root, tmp_path / "two", *slow, has_group=False)
    for key in ("loss/label_image", "loss/label_points", "loss/fair_image", "loss/fair_points", "labels/sure_points"):
        assert metrics(tmp_path / "two/tiny", key) == pytest.approx(metrics(one, key), rel=1e-3)


def test_a_cloud_that_cannot_be_read_is_replaced_and_named_on_request(towers, root, tmp_path):
    spoilt = shutil.copytree(root, tmp_path / "data")
    (spoilt / "ShapeNet" / SHAPES[4]).with_suffix(".ply").write_bytes(b"")
    with pytest.raises(ValueError, match=f"{SHAPES[4]}.ply is not a readable PLY file"):
        train(towers, spoilt, tmp_path)
    run = train(towers, spoilt, tmp_path, "--on_bad_sample", "skip", "--overwrite")
    assert f"warning: skipped {spoilt}/ShapeNet/{SHAPES[4]}.ply" in log_of(run)


CHANGES = {
    "--labels separate": lambda t: t.method.labels,
    "--omega 1": lambda t: t.method.thresholds,
    "--threshold 0.5": lambda t: t.method.thresholds,
    "--image_threshold 0.5": lambda t: t.method.thresholds,
    "--points_threshold 0.5": lambda t: t.method.thresholds,
    "--points_weight 2": lambda t: t.method.weight,
    "--fairness_weight 2": lambda t: t.method.weight,
    "--masked_weight 2": lambda t: t.method.weight,
    "--local_weight 2": lambda t: t.method.weight,
    "--alignment_weight 2": lambda t: t.method.alignment_weight,
    "--alignment_temperature 1": lambda t: t.method.alignment_temperature,
    "--published_losses": lambda t: t.method.published_losses,
    "--first_decay 0.5": lambda t: t.method.pace,
    "--last_decay 0.999": lambda t: t.method.pace,
    "--ramp 3": lambda t: t.method.pace,
    "--base_lr 1": lambda t: t.optimizer.defaults["lr"],
    "--steps 5": lambda t: t.settings.epochs,
    "--warmup_epochs 0": lambda t: t.schedule.get_last_lr(),
    "--weight_decay 0": lambda t: sorted(group["weight_decay"] for group in t.optimizer.param_groups),
    "--max_scale 1": lambda t: t.loader.dataset.strong,
    "--image_size 24": lambda t: t.loader.dataset[0]["image_weak"].shape,
    "--image_size 32": lambda t: t.method.teacher.describe()["image_size"],
    "--labels points": lambda t: "image_weak" in t.loader.dataset[0],
    "--classes mug,airplane": lambda t: t.method.student.class_names,
}


def test_each_flag_changes_what_is_built(towers, root, tmp_path):
    def built(*flags):
        return built_by(lambda: train(towers, root, tmp_path, "--overwrite", *flags))

    plain = built()
    for flags, part in CHANGES.items():
        assert part(plain) != part(built(*flags.split())), flags


def test_rates_grow_from_the_first_step_and_fall_to_the_least(towers, root, tmp_path):
    rates = [warm_cosine(step, 4, 12, 0.05) for step in range(13)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1, 1]
    assert rates[8] == pytest.approx(0.525)
    assert rates[12] == pytest.approx(0.05)
    assert [warm_cosine(step, 2, 2, 0.5) for step in range(3)] == [0.5, 1, 1]
    method = built_by(lambda: train(towers, root, tmp_path)).method
    groups = rate_groups(method, 0.1, 0.65, 0.05)
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.1, 0.0), (0.1, 0.05)]
    assert {p.ndim > 1 for p in groups[0]["params"]} == {False}
    assert sum(len(group["params"]) for group in groups) == sum(p.requires_grad for p in method.parameters())


def test_early_blocks_of_clip_learn_more_slowly():
    pytest.importorskip("open_clip")
    towers = AlignedTowers(Flat(), ClipImages(TINY_CLIP), 12, text={}, image_size=32)
    towers.set_classes(["a", "b"], torch.eye(12)[:, :2])
    method = CrossModalSelfTraining(towers)
    rate_of = {p: group["lr"] for group in rate_groups(method, 1.0, 0.65, 0.05) for p in group["params"]}
    visual = towers.image_encoder.visual
    blocks = [{rate_of[p] for p in block.parameters()} for block in visual.transformer.resblocks]
    assert blocks == [{0.65**2}, {0.65}]
    first = (visual.conv1.weight, visual.class_embedding, visual.positional_embedding, visual.ln_pre.bias)
    assert {rate_of[p] for p in first} == {0.65**3}
    rest = (visual.ln_post.weight, towers.image_projection.weight, towers.classifier, method.masked_images.mask_token)
    assert {rate_of[p] for p in (*rest, towers.point_projection.weight, towers.logit_scale)} == {1.0}


def test_towers_with_tokens_are_masked_and_go_on_exactly(root, tmp_path, monkeypatch):
    pytest.importorskip("open_clip")
    monkeypatch.setattr("models.encoders.pointbert.DEPTH", 2)
    torch.manual_seed(0)
    images, texts = ClipImages({**TINY_CLIP, "embed_dim": ToyTexts.dim}), ToyTexts()
    towers = AlignedTowers(PointBERT(emb_dims=12), images, texts.dim, text=texts.describe(), image_size=32)
    torch.save(towers.weight_state(), tmp_path / "towers.pth")
    once = ("--epochs", "1")
    whole = train(tmp_path / "towers.pth", root, tmp_path / "whole", *once)
    for branch in ("image", "points"):
        assert min(metrics(whole, f"loss/masked_{branch}") + metrics(whole, f"loss/local_{branch}")) > 0
    with stopped_after(1):
        train(tmp_path / "towers.pth", root, tmp_path, *once)
    assert same(weights(train(tmp_path / "towers.pth", root, tmp_path, *once, "--resume")), weights(whole))
    rounded = train(tmp_path / "towers.pth", root, tmp_path / "rounded", *once, "--amp", "bf16")
    assert metrics(rounded, "loss/masked_image") == pytest.approx(metrics(whole, "loss/masked_image"), rel=0.05)
    plain = built_by(lambda: train(tmp_path / "towers.pth", root, tmp_path / "plain", "--no-masked"))
    assert plain.method.masked_images is plain.method.masked_groups is None
    assert "image_mask" not in plain.loader.dataset[0]
    whole_set = built_by(lambda: train(tmp_path / "towers.pth", root, tmp_path / "set", "--no-freeze_groups"))
    assert whole_set.method.student.point_encoder.encoder.first_conv[0].weight.requires_grad
    assert whole_set.loader.dataset[0]["image_mask"].sum() == 8
    with pytest.raises(ValueError, match="--image_size 24: these towers take 32 pixels"):
        train(tmp_path / "towers.pth", root, tmp_path / "other", "--image_size", "24")


def test_a_run_begins_with_trained_towers_and_goes_on_with_no_others(towers, root, whole, tmp_path):
    again = train(whole / "models/student_last.pth", root, tmp_path, "--classes", "", "--epochs", "1")
    assert flags_of(again)["classes"] == "airplane,mug,table"
    copy = shutil.copy(towers, tmp_path / "towers.pth")
    with stopped_after(1):
        train(copy, root, tmp_path / "out")
    shutil.copy(whole / "models/student_last.pth", copy)
    with pytest.raises(ValueError, match="cannot resume with other settings.*--towers_sha256 was"):
        train(copy, root, tmp_path / "out", "--resume", "--classes", "airplane,mug,table")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--classes", "mug"], "--classes 'mug': name two classes or more"),
        (["--augment", "device"], "--augment device knows CrossPoint's two clouds only"),
        (["--crop_min", "0.4"], "--crop_min: the weak and the strong cloud"),
        (["--num_points", "200"], "holds 97 points, 200 are needed"),
        (["--labels", "points", "--background", "random"], "of which --labels points reads none"),
        (["--labels", "image", "--alignment_weight", "1"], "--labels image trains one branch"),
    ],
)
def test_bad_settings_are_refused(towers, root, tmp_path, flags, message):
    with pytest.raises((ValueError, OSError), match=message):
        train(towers, root, tmp_path, *flags)


def test_towers_with_classes_take_no_others(whole, root, tmp_path):
    with pytest.raises(ValueError, match="has classes of its own, airplane, mug, table: leave --classes out"):
        train(whole / "models/student_last.pth", root, tmp_path, "--classes", "mug,lamp")


def test_defaults_are_those_published_for_modelnet40():
    flags = vars(train_crossmost.parse_args(["--towers", "x"]))
    published = {"omega": 0.9, "threshold": 0.84, "image_threshold": 0.8, "points_threshold": 0.82, "epochs": 200}
    published |= {"batch_size": 512, "base_lr": 2e-5, "weight_decay": 0.05, "layer_decay": 0.65, "num_points": 8192}
    published |= {"first_decay": 0.99, "last_decay": 0.9998, "ramp": 400, "local_weight": 0.2, "max_scale": 2.0}
    assert {name: flags[name] for name in published} == published
