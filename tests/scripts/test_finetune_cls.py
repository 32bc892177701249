"""`python -m scripts.finetune_cls` on a tiny tree: starts, labels, resuming, records, repeated scoring, refusals."""

import hashlib
import json

import numpy as np
import pytest
import torch
from torch import nn

from models.weights.published import load_encoder
from models.weights.weight_file import read_weights
from scripts import finetune_cls
from tests.support.entry_programs import error_of, write_encoder
from tests.support.interruption import interrupted_in
from tests.support.light_runs import built_by, metrics, results, same, start_of, weights
from tests.support.program_calls import run
from tests.support.tiny_trees import labelled, write_h5, write_scanobjectnn
from utils.classification.classifier_weights import load_network

NUM_POINTS = 48
pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Train and test split of three classes, 8 and 3 clouds each; a class is stretched along its own axis."""
    folder = tmp_path_factory.mktemp("tree") / "modelnet40_ply_hdf5_2048"
    for number, (split, count) in enumerate((("train", 8), ("test", 3))):
        arrays = labelled([0, 1, 2] * count, seed=70 * number, num_points=NUM_POINTS)
        arrays["data"] = (arrays["data"] - 3) * (1 + 3 * np.eye(3, dtype=np.float32)[arrays["label"]])
        write_h5(folder / f"ply_data_{split}0.h5", **arrays)
    (folder / "shape_names.txt").write_text("cone\ncube\nball\n")
    return folder.parent


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Encoder weights as pre-training writes them."""
    return write_encoder(tmp_path_factory.mktemp("weights") / "pretrained.pth", k=4)


DGCNN = ("--model", "dgcnn")
COMMAND = (
    "--recipe dgcnn --exp_name tiny --batch_size 6 --k 4 --epochs 2 --num_points 32 --model pointnet --lr 0.01 "
    "--select last --device cpu"
)


def train(root, out, *extra, command=COMMAND):
    """Train PointNet, the quickest encoder, for two epochs on the tiny tree; return the run's folder."""
    run(finetune_cls, *command.split(), "--data_root", root, "--output_dir", out, *extra)
    return out / "tiny"


def build(root, out, *extra, **options):
    """Return the training of these flags before its first step."""
    return built_by(lambda: train(root, out, *extra, **options))


@pytest.fixture(scope="module")
def plain(root, tmp_path_factory, light_training):
    """Run folder of the command as it is."""
    return train(root, tmp_path_factory.mktemp("plain"))


def network_weights(run_dir):
    return {key.removeprefix("network."): value for key, value in weights(run_dir).items()}


def test_a_resumed_training_with_workers_ends_as_without_bit_for_bit(root, plain, tmp_path):
    with interrupted_in(1):
        train(root, tmp_path, "--num_workers", 1)
    with pytest.raises(ValueError, match="--label_fraction was 1.0, now 0.5"):
        train(root, tmp_path, "--resume", "--label_fraction", 0.5)
    run_dir = train(root, tmp_path, "--resume")
    assert same(weights(plain), weights(run_dir))
    assert metrics(plain) == metrics(run_dir)
    assert same(*(read_weights(run / "models" / "best_model.pth") for run in (plain, run_dir)))


@pytest.fixture(scope="module")
def unchanged(root, tmp_path_factory, light_training):
    """The training of the command as it is, before its first step."""
    return build(root, tmp_path_factory.mktemp("unchanged"))


def norms(training):
    return [part for part in training.method.modules() if isinstance(part, nn.BatchNorm1d)]


EFFECTS = {
    "--lr 0.02": (lambda t: t.schedule.base_lrs, [0.02]),
    "--final_lr 0.005": (lambda t: round(t.schedule.lr_lambdas[0](10**6), 9), 0.5),
    "--no-use_sgd": (lambda t: type(t.optimizer), torch.optim.Adam),
    "--momentum 0": (lambda t: t.optimizer.param_groups[0]["momentum"], 0),
    "--weight_decay 0.5": (lambda t: t.optimizer.param_groups[0]["weight_decay"], 0.5),
    "--label_smoothing 0": (lambda t: t.method.label_smoothing, 0),
    "--scheduler step": (lambda t: t.schedule.lr_lambdas[0](len(t.loader) * 41), pytest.approx(0.7**2)),
    "--scheduler step --final_lr 0.009": (lambda t: t.schedule.lr_lambdas[0](len(t.loader) * 20), pytest.approx(0.9)),
    "--bn_decay": (lambda t: t.before_epoch(45) or {m.momentum for m in norms(t)}, {0.025}),
    "--augment_kind rotate_jitter": (lambda t: t.loader.dataset.kind, "rotate_jitter"),
    "--transform_weight 0.5": (lambda t: t.method.transform_weight, 0.5),
    "--no-augment": (lambda t: t.loader.dataset.augment, False),
    "--dropout 0": (lambda t: {m.p for m in t.method.modules() if isinstance(m, nn.Dropout)}, {0}),
    "--num_points 40": (lambda t: tuple(t.loader.dataset[0]["points"].shape), (40, 3)),
    "--batch_size 3": (lambda t: t.loader.batch_size, 3),
    "--frozen": (lambda t: any(p.requires_grad for p in t.method.network.point_encoder.parameters()), False),
    "--recipe published": (lambda t: t.method.label_smoothing, 0),
    "--label_fraction 0.5": (lambda t: len(t.loader.dataset), 12),
    "--select val --val_fraction 0.4": (lambda t: len(t.loader.dataset), 15),
    "--amp bf16": (lambda t: t.precision.dtype, torch.bfloat16),
    "--epochs 3": (lambda t: t.settings.epochs, 3),
    "--emb_dims 32": (lambda t: t.method.network.point_encoder.feature_dim, 32),
    "--model dgcnn": (lambda t: getattr(t.method.network.point_encoder, "k", None), 4),
    "--model dgcnn --k 6": (lambda t: getattr(t.method.network.point_encoder, "k", None), 6),
}


@pytest.mark.parametrize("flags", list(EFFECTS))
def test_each_flag_changes_what_is_built(root, unchanged, tmp_path, flags):
    read, expected = EFFECTS[flags]
    assert read(unchanged) != expected
    assert read(build(root, tmp_path, *flags.split())) == expected


def test_the_seed_decides_the_first_weights_and_the_order(root, tmp_path):
    starts = [start_of(build(root, tmp_path / str(seed), "--seed", seed)) for seed in (1, 2)]
    assert all(mine != theirs for mine, theirs in zip(*starts, strict=True))


def test_normalised_clouds_lie_in_the_unit_sphere(root, tmp_path):
    norms = [
        build(root, tmp_path / str(number), "--no-augment", *flags).loader.dataset[0]["points"].norm(dim=1).max()
        for number, flags in enumerate(((), ("--normalize",)))
    ]
    assert norms[1] <= 1.001 < norms[0]


def test_steps_replace_epochs_and_batches_shrink_to_the_labelled_clouds(root, tmp_path, capsys):
    command = COMMAND.replace("--batch_size 6", "").replace("--epochs 2", "").replace("--select last", "")
    run_dir = train(root, tmp_path, "--label_fraction", 0.01, "--steps", 3, command=command)
    out = capsys.readouterr().out
    assert "1 epochs of 3 steps of 3 clouds" in out
    assert "warning: --batch_size 32 is more than there are labelled clouds: batches hold 3" in out
    (record,) = results(run_dir)
    assert (record["num_train"], record["batch_size"], record["steps"]) == (3, 3, 3)


def test_scratch_and_pretrained_share_labelled_clouds_and_untrained_classifier(root, pretrained, tmp_path):
    flags = (*DGCNN, "--label_fraction", 0.5)
    scratch, started = build(root, tmp_path, *flags), build(root, tmp_path, *flags, "--pretrained_path", pretrained)
    assert scratch.loader.dataset.rows.tolist() == started.loader.dataset.rows.tolist()
    assert len(scratch.loader.dataset.rows) == 12
    untrained, stored = scratch.method.state_dict(), read_weights(pretrained)
    for key, value in started.method.state_dict().items():
        own = key.removeprefix("network.point_encoder.")
        assert torch.equal(value, untrained[key] if "classifier" in key else stored[own]), key


def test_a_frozen_run_leaves_every_encoder_tensor_as_it_was(root, pretrained, tmp_path):
    run_dir = train(root, tmp_path, *DGCNN, "--pretrained_path", pretrained, "--frozen")
    best = run_dir / "models" / "best_model.pth"
    assert same(load_encoder(best).encoder.state_dict(), load_encoder(pretrained).encoder.state_dict())
    assert results(run_dir)[0]["frozen"] is True


def test_a_start_with_tensors_missing_or_renamed_is_refused_with_the_list(root, pretrained, tmp_path):
    state = read_weights(pretrained)
    for key in ("conv3.0.weight", "conv5.1.running_var"):
        del state[key]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"part.pth.*2 tensors missing.*conv3.0.weight, conv5.1.running_var"):
        train(root, tmp_path, *DGCNN, "--pretrained_path", tmp_path / "part.pth")
    torch.save({f"net1.{key}": value for key, value in state.items()}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other.pth.*no point encoder of ours.*net1\."):
        train(root, tmp_path, "--pretrained_path", tmp_path / "other.pth")
    assert not (tmp_path / "tiny").exists()


def test_training_learns_the_classes_and_every_file_records_it(root, pretrained, tmp_path):
    run_dir = train(root, tmp_path, *DGCNN, "--pretrained_path", pretrained, "--epochs", 6, "--votes", 3)
    single, voted = results(run_dir)
    assert single["accuracy"] > 0.7
    digest = hashlib.sha256(pretrained.read_bytes()).hexdigest()
    for record, votes in ((single, 0), (voted, 3)):
        assert (record["task"], record["protocol"], record["voting"]) == ("finetune_cls", "dgcnn", votes)
        assert (record["dataset"], record["variant"], record["split"]) == ("modelnet40", None, "test")
        assert (record["weights"], record["checkpoint"]) == ("checkpoint", str(pretrained))
        assert (record["checkpoint_sha256"], record["encoder_seed"]) == (digest, None)
        assert (record["num_train"], record["num_val"], record["num_test"], record["num_classes"]) == (24, 0, 9, 3)
        assert (record["label_fraction"], record["frozen"], record["selected_on"]) == (1.0, False, "last")
        assert (record["model"], record["k"], record["num_points"], record["seed"]) == ("dgcnn", 4, 32, 1)
    with np.load(run_dir / "predictions.npz", allow_pickle=False) as file:
        assert file["label"].tolist() == [0, 1, 2] * 3
        assert np.mean(file["label"] == file["predicted"]) == single["accuracy"]
        assert (file["label"].dtype, file["predicted"].dtype) == (np.int64, np.int64)
        assert file["class_names"].tolist() == ["cone", "cube", "ball"]


def test_eval_repeats_the_records_of_the_run_without_training(root, plain, tmp_path, capsys):
    before = (plain / "last.pt").stat().st_mtime_ns
    best = plain / "models" / "best_model.pth"
    train(root, tmp_path, "--eval", "--model_path", best, "--json", tmp_path / "again.json", "--votes", 2)
    assert not (tmp_path / "tiny").exists()
    again = json.loads((tmp_path / "again.json").read_text())["results"]
    assert again[:1] == results(plain)
    assert again[1]["voting"] == 2
    assert (plain / "last.pt").stat().st_mtime_ns == before
    train(root, plain.parent, "--eval", "--normalize", "--num_points", 40)
    out = capsys.readouterr().out
    assert "warning: trained with --num_points 32, scored with 40" in out
    assert "warning: trained with --normalize False, scored with True" in out


def test_a_network_of_other_classes_is_refused(plain, tmp_path):
    write_scanobjectnn(tmp_path)
    flags = ("--dataset", "scanobjectnn", "--eval", "--model_path", plain / "models" / "best_model.pth")
    with pytest.raises(ValueError, match="knows the classes cone, cube, ball; .* has bag"):
        train(tmp_path, tmp_path, *flags)


def test_the_fine_tuned_encoder_can_be_used_like_a_pretrained_one(root, plain, tmp_path):
    best = plain / "models" / "best_model.pth"
    assert len(load_encoder(best, "pointnet").report.unused) == 15
    assert load_encoder(best).stored_k == 4
    run_dir = train(root, tmp_path, "--pretrained_path", best)
    assert results(run_dir)[0]["checkpoint"] == str(best)


def test_the_best_epoch_is_chosen_on_held_out_clouds_or_the_last_kept_and_test_is_scored_once(
    root, plain, tmp_path, capsys
):
    network, origin = load_network(plain / "models" / "best_model.pth")
    assert same(network.state_dict(), network_weights(plain))
    assert origin["selected_on"] == "last"
    run_dir = train(root, tmp_path, "--epochs", 4, "--select", "val", "--val_fraction", 0.3)
    out = capsys.readouterr().out
    scores = metrics(run_dir, "class/val_accuracy")
    assert out.count("best so far") == sum(score >= max([-1, *scores[:i]]) for i, score in enumerate(scores))
    assert out.count("result task=finetune_cls") == 1
    network, _ = load_network(run_dir / "models" / "best_model.pth")
    assert same(network.state_dict(), network_weights(run_dir)) == (scores[-1] == max(scores))
    assert [(record["num_train"], record["num_val"]) for record in results(run_dir)] == [(18, 6)]


POINTNET = (
    "--recipe pointnet --exp_name tiny --model pointnet_tnet --batch_size 6 --epochs 3 --num_points 32 --device cpu "
    "--select last"
)


def test_the_pointnet_recipe_resumed_in_the_middle_of_its_steps_ends_bit_for_bit_the_same(root, tmp_path, monkeypatch):
    monkeypatch.setattr("utils.training.optim.STEP_EPOCHS", 1)
    whole = train(root, tmp_path / "whole", command=POINTNET)
    with interrupted_in(1):
        train(root, tmp_path / "cut", command=POINTNET)
    cut = train(root, tmp_path / "cut", "--resume", command=POINTNET)
    assert same(weights(whole), weights(cut))
    assert metrics(cut, "lr") == pytest.approx([0.001, 0.0007, 0.00049])
    assert metrics(whole, "loss/transform") == metrics(cut, "loss/transform")
    assert min(metrics(cut, "loss/transform")) > 0
    assert results(cut)[0]["protocol"] == "pointnet"


@pytest.mark.parametrize("name", ["dgcnn_seg", "dgcnn", "pointnext"])
def test_other_encoders_are_fine_tuned_and_scored_again(root, tmp_path, name):
    flags = ("--model", name, "--epochs", 1)
    records = results(train(root, tmp_path, *flags))
    assert (records[0]["model"], records[0]["encoder_seed"]) == (name, 1)
    train(root, tmp_path, *flags, "--eval", "--json", tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text())["results"] == records


def test_a_scanobjectnn_variant_is_trained_on(tmp_path):
    write_scanobjectnn(tmp_path)
    flags = ("--dataset", "scanobjectnn", "--variant", "hardest", "--epochs", 1)
    (record,) = results(train(tmp_path, tmp_path, *flags))
    assert (record["dataset"], record["variant"], record["num_classes"]) == ("scanobjectnn", "hardest", 15)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--data_root /nonexistent", "make_shapes"),
        ("--batch_size 1", "--batch_size must be at least 2"),
        ("--epochs 0", "--epochs must be at least 1"),
        ("--test_batch_size 0", "--test_batch_size must be at least 1"),
        ("--votes -1", "--votes must be at least 0"),
        ("--num_points 64", "holds 48 points a cloud, 64 were asked for"),
        ("--model dgcnn --k 33", "--num_points 32 must be at least --k 33"),
        ("--label_fraction 2", "--label_fraction must be above 0"),
        ("--label_fraction 0.01 --select val", "--select val finds nothing to hold out"),
        ("--variant obj_bg", "--variant obj_bg belongs to --dataset scanobjectnn"),
        ("--pretrained_path none.pth", "none.pth"),
        ("--model_path a.pth --pretrained_path b.pth", "both name weights"),
        ("--eval --pretrained_path a.pth", "--model_path"),
        ("--eval --model_path none.pth", "none.pth"),
        ("--device cuda:99", "cuda:99"),
        ("--resume", "nothing to resume"),
        ("--lr 1e30", "of its train split"),  # a loss that is no number, with the rows of its batch
    ],
)
def test_bad_flags_are_one_message_and_exit_status_2(root, tmp_path, capsys, flags, message):
    assert message in error_of(lambda: train(root, tmp_path, *flags.split()), capsys)


def test_weights_of_another_model_or_without_a_classifier_are_refused(root, pretrained, tmp_path):
    with pytest.raises(ValueError, match="weights of dgcnn, not of --model pointnet"):
        train(root, tmp_path, "--pretrained_path", pretrained)
    with pytest.raises(ValueError, match=r"holds no classifier.*--pretrained_path"):
        train(root, tmp_path, "--eval", "--model_path", pretrained)
