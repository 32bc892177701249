"""Flags of train_crosspoint.py: each reaches the object it configures, or is refused by name."""

import sys
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

import train_crosspoint
from datasets.pairs.packed_render import PackedRender
from datasets.pairs.tolerant_pairs import TolerantPairs
from datasets.transforms.point_transforms import PointAugment
from datasets.transforms.random_backgrounds import RandomBackgrounds
from tests.support.entry_programs import error_of, write_encoder
from tests.support.light_runs import SmallImageNet, built_by, flags_of, log_of, results, same, start_of
from tests.support.pretraining_runs import command, train, write_pairs, write_pairs_and_classes
from tests.support.tiny_trees import cloud, pack, write_ply
from utils.pretrained import load
from utils.retrieval.cross_modal import EmbeddingSettings, load_cross_modal

pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_pairs_and_classes(tmp_path_factory.mktemp("tree"))


def build(root, out, *flags, **options):
    """Return the training of these flags before its first step."""
    return built_by(lambda: train(root, out, *flags, **options))


@pytest.fixture(scope="module")
def plain(root, tmp_path_factory, light_training):
    return build(root, tmp_path_factory.mktemp("plain"))


def augment_of(training):
    (settings,) = {training.loader.dataset.clouds[name] for name in ("aug_a", "aug_b")}
    return settings


def local_of(training):
    return training.loader.dataset.clouds.get("local_0", PointAugment())


EFFECTS = {
    "--seed 2": (lambda t: (t.settings.seed, t.loader.dataset.seed), (2, 2)),
    "--lr 0.01": (lambda t: t.optimizer.param_groups[0]["initial_lr"], 0.01),
    "--use_sgd": (lambda t: type(t.optimizer), torch.optim.SGD),
    "--weight_decay 0.5": (lambda t: t.optimizer.param_groups[0]["weight_decay"], 0.5),
    "--use_sgd --momentum 0.25": (lambda t: t.optimizer.param_groups[0].get("momentum"), 0.25),
    "--epochs 5": (lambda t: (t.settings.epochs, round(t.schedule.lr_lambdas[0](5), 6)), (5, 0.5)),
    "--batch_size 2": (lambda t: (t.loader.batch_size, len(t.loader)), (2, 3)),
    "--micro_batch 2": (lambda t: t.stepper.micro_batch, 2),
    "--amp bf16": (lambda t: t.precision.dtype, torch.bfloat16),
    "--print_freq 9": (lambda t: t.settings.print_freq, 9),
    "--imid_weight 0": (lambda t: t.method.imid_weight, 0),
    "--cmid_weight 0": (lambda t: (t.method.cmid_weight, "image" in t.loader.dataset[0]), (0, False)),
    "--cmid_views 2": (lambda t: tuple(t.loader.dataset[0]["image"].shape), (2, 3, 32, 32)),
    "--compose 1": (lambda t: t.loader.dataset.compose, 1),
    "--local_clouds 2": (lambda t: (t.method.local_clouds, "local_1" in t.loader.dataset[0]), (2, True)),
    "--local_clouds 1 --local_points 16": (lambda t: local_of(t).num_points, 16),
    "--local_clouds 1 --local_min 0.2": (lambda t: local_of(t).crop_min, 0.2),
    "--local_clouds 1 --local_max 0.9": (lambda t: local_of(t).crop_max, 0.9),
    "--local_clouds 1 --local_weight 3": (lambda t: t.method.local_weight, 3),
    "--temperature 0.5": (lambda t: t.method.temperature, 0.5),
    "--image_depth 34": (lambda t: t.method.image_encoder.resnet.name, "resnet34"),
    "--image_size 48": (lambda t: tuple(t.loader.dataset[0]["image"].shape), (3, 48, 48)),
    "--background white": (lambda t: t.loader.dataset.background, (255, 255, 255)),
    "--background random": (lambda t: t.loader.dataset.backgrounds, RandomBackgrounds()),
    "--background random --object_min 0.5": (lambda t: t.loader.dataset.backgrounds, RandomBackgrounds(0.5)),
    "--num_points 32": (lambda t: tuple(t.loader.dataset[0]["aug_a"].shape), (32, 3)),
    "--rotation so3": (lambda t: augment_of(t).rotation, "so3"),
    "--max_scale 1.5": (lambda t: augment_of(t).max_scale, 1.5),
    "--translation 0": (lambda t: augment_of(t).translation, 0),
    "--max_dropout 0": (lambda t: augment_of(t).max_dropout, 0),
    "--crop_min 0.4": (lambda t: augment_of(t).crop_min, 0.4),
    "--on_bad_sample skip": (lambda t: type(t.loader.dataset), TolerantPairs),
    "--max_bad_rate 0.5": (lambda t: t.bad_samples.max_rate, 0.5),
    "--model dgcnn": (lambda t: getattr(t.method.point_encoder, "k", None), 5),
    "--model dgcnn --k 3": (lambda t: getattr(t.method.point_encoder, "k", None), 3),
    "--emb_dims 96": (lambda t: (t.method.point_encoder.feature_dim, t.method.point_head[0].in_features), (96, 96)),
    "--eval_freq 2 --eval_num_points 50": (lambda t: t.monitor and t.monitor.freq, 2),
}


@pytest.mark.parametrize("flags", list(EFFECTS))
def test_each_flag_changes_what_is_built(root, plain, tmp_path, flags):
    read, expected = EFFECTS[flags]
    assert read(plain) != expected
    assert read(build(root, tmp_path, *flags.split())) == expected


def test_the_seed_decides_the_first_weights_and_the_order(root, plain, tmp_path):
    assert start_of(build(root, tmp_path / "same")) == start_of(plain)
    other = start_of(build(root, tmp_path / "other", "--seed", "2"))
    assert all(mine != theirs for mine, theirs in zip(other, start_of(plain), strict=True))


def test_batches_are_augmented_on_the_device_by_the_same_flags(root, plain, tmp_path):
    flags = ("--rotation", "so3", "--max_scale", "1.1", "--translation", "0.2", "--max_dropout", "0.1", "--seed", "3")
    training = build(root, tmp_path, "--augment", "device", *flags)
    assert plain.transform is None
    assert training.loader.dataset.augment is False
    (augment,) = training.transform.groups
    assert (augment.rotation, augment.max_scale, augment.translation, augment.max_dropout) == ("so3", 1.1, 0.2, 0.1)
    assert (training.transform.image_size, training.transform.seed) == (32, 3)


def test_a_packed_file_is_read_in_place_of_the_trees(root, tmp_path):
    path = pack(root, tmp_path / "all.h5")
    dataset = build(root, tmp_path, "--packed", path).loader.dataset
    assert isinstance(dataset, PackedRender)
    assert str(path) in dataset.files(0)


def test_wandb_is_started_in_the_mode_asked_for(root, tmp_path, monkeypatch):
    wandb = MagicMock()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    build(root, tmp_path, "--wandb", "offline")
    assert (wandb.init.call_args.kwargs["mode"], wandb.init.call_args.kwargs["name"]) == ("offline", "tiny")


def test_image_weights_start_the_image_encoder(root, tmp_path):
    torch.save(SmallImageNet().state_dict(), tmp_path / "image.pth")
    method = build(root, tmp_path, "--image_weights", tmp_path / "image.pth").method
    stored = torch.load(tmp_path / "image.pth")
    assert torch.equal(method.image_encoder.resnet.conv.weight, stored["conv.weight"])


def test_model_path_starts_the_point_branch_from_those_weights(root, tmp_path):
    stored = torch.load(write_encoder(tmp_path / "start.pth", "pointnet"))
    method = build(root, tmp_path, "--model_path", tmp_path / "start.pth").method
    head = {key.removeprefix("inv_head."): value for key, value in stored.items() if key.startswith("inv_head.")}
    assert same(method.point_head.state_dict(), head)
    assert all(torch.equal(value, stored[key]) for key, value in method.point_encoder.state_dict().items())


def test_weights_trained_with_another_k_are_warned_of(root, tmp_path):
    start = ("--model_path", write_encoder(tmp_path / "start.pth", "dgcnn", 5))
    build(root, tmp_path / "same", *start, model="dgcnn")
    build(root, tmp_path / "other", *start, "--k", "4", model="dgcnn")
    assert "was trained with k" not in log_of(tmp_path / "same" / "tiny")
    assert "was trained with k 5, this run has --k 4" in log_of(tmp_path / "other" / "tiny")


def test_a_checkpoint_of_another_model_is_refused(root, tmp_path):
    start = write_encoder(tmp_path / "start.pth", "pointnet")
    with pytest.raises(ValueError, match="weights of pointnet, not of --model dgcnn"):
        train(root, tmp_path, "--model_path", start, model="dgcnn")


def test_backgrounds_of_views_that_are_not_read_are_refused(root, tmp_path):
    message = "--background random belongs to views, of which --cmid_weight 0 reads none: leave one out"
    with pytest.raises(ValueError, match=message):
        train(root, tmp_path, "--background", "random", "--cmid_weight", "0")


def test_a_width_of_the_embedding_is_recorded_and_restored_and_dropout_is_said_to_have_no_effect(root, tmp_path):
    flags = ("--emb_dims", "24", "--dropout", "0.5", "--epochs", "1")
    run_dir = train(root, tmp_path, *flags, "--eval_freq", "1", model="dgcnn")
    assert "--dropout 0.5 has no effect: pre-training has no dropout" in log_of(run_dir)
    assert (flags_of(run_dir)["emb_dims"], {record["emb_dims"] for record in results(run_dir)}) == (24, {24})
    retrieval, _ = load_cross_modal(run_dir / "last.pt", torch.device("cpu"), EmbeddingSettings())
    assert retrieval.method.point_encoder.feature_dim == load(run_dir / "last.pt", device="cpu").feature_dim == 48
    start = ("--model_path", run_dir / "models" / "best_model.pth")
    with pytest.raises(ValueError, match="the embedding of these weights is 24 wide, got --emb_dims 1024"):
        build(root, tmp_path / "other", *start, model="dgcnn")


def test_flags_for_several_processes_say_that_one_has_the_whole_batch(root, plain, tmp_path):
    training = build(root, tmp_path, "--world_size", "6", "--backend", "nccl")
    assert (
        "--world_size 6: one process computes the whole batch of 3, with the same result; for more start the same "
        "command with torchrun --nproc_per_node=6" in log_of(training.run.folder)
    )
    assert "one process" not in log_of(plain.run.folder)
    assert training.loader.batch_size == plain.loader.batch_size


def break_png(folder):
    for png in folder.rglob("*.png"):
        png.write_bytes(png.read_bytes()[:60])


def break_ply(folder):
    write_ply(sorted(folder.rglob("*.ply"))[0], np.full_like(cloud(0, 100), np.nan))


def drop_renders(folder):
    for png in (folder / "ShapeNetRendering" / "02" / "03").rglob("*.png"):
        png.unlink()


def drop_clouds(folder):
    for ply in folder.rglob("*.ply"):
        ply.unlink()


@pytest.mark.parametrize(
    ("spoil", "workers", "message"),
    [
        (break_png, 0, ".png"), (break_png, 2, ".png"), (break_ply, 0, "00.ply"), (drop_renders, 0, "03"),
        (drop_clouds, 0, "no clouds"),
    ],
)  # fmt: skip
def test_bad_data_is_one_message_and_exit_status_2(tmp_path, capsys, spoil, workers, message):
    folder = write_pairs(tmp_path / "data")
    spoil(folder)
    assert message in error_of(lambda: train(folder, tmp_path / "out", "--num_workers", workers), capsys)


def test_a_packed_file_at_fault_is_named_before_anything_is_written(root, tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"bad\.h5 is damaged"):
        train(root, tmp_path / "out", "--packed", tmp_path / "bad.h5")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--data_root /nonexistent", "make_shapes"),
        ("--batch_size 8", "--batch_size 8 is larger than the data set (7 shapes)"),
        ("--num_points 5000", "5000"),
        ("--print_freq 0", "--print_freq must be at least 1"),
        ("--epochs 0", "--epochs must be at least 1"),
        ("--batch_size 1", "--batch_size must be at least 2"),
        ("--num_points 1", "--num_points must be at least 2"),
        ("--image_size 1", "--image_size must be"),
        ("--packed=", "--packed is empty; name a file"),
        ("--model dgcnn --k 65", "--num_points 64 must be at least --k 65"),
        ("--model_path none.pth", "none.pth"),
        ("--device cuda:99", "cuda:99"),
        ("--imid_weight 0 --cmid_weight 0", "one of them > 0"),
        ("--imid_weight nan", "--imid_weight nan"),
        ("--emb_dims 0", "--emb_dims must be at least 1 and at most 16384"),
        ("--micro_batch 1", "--micro_batch must be 0 or at least 2"),
        ("--temperature 0", "--temperature must be > 0"),
        ("--max_dropout 1", "--max_dropout 1.0 in [0, 1)"),
        ("--crop_min 0", "--crop_min must be above 0 and at most 1"),
        ("--cmid_views 3", "00/rendering: 2 views, --cmid_views 3 are asked for"),
        ("--cmid_views 2 --shards none", "--cmid_views 2: --shards hold one view of each shape"),
        ("--compose 0.5 --shards none", "--compose 0.5: --shards are read in their order"),
        ("--compose 2", "--compose must be at least 0 and at most 1"),
        ("--background random --shards none", "--background random shows views of other shapes too, which --shards"),
        ("--compose 0.5 --background random", "--compose 0.5 lays views on one background"),
        ("--object_min 0.5", "--object_min 0.5 belongs to --background random, not to black"),
        ("--object_min 0", "--object_min must be above 0 and at most 1"),
        ("--local_min 0.5 --local_max 0.2", "--local_min 0.5 must be at most --local_max 0.2"),
        ("--model dgcnn --local_clouds 1 --local_points 4", "--local_points 4 must be at least --k 5"),
        ("--device mps", "--device mps: only cpu and cuda"),
        ("--eval_freq -1", "--eval_freq must be at least 0"),
        ("--save_freq -1", "--save_freq must be at least 0"),
        ("--image_size 5000", "--image_size must be"),
        ("--eval_freq 1 --eval_num_points 4 --model dgcnn", "--eval_num_points 4 must be at least --k 5"),
        (f"--image_weights {__file__}", "test_crosspoint_flags.py"),
        ("--eval_freq 1 --eval_dataset scanobjectnn", "ScanObjectNN"),
        ("--eval_freq 1 --eval_num_points 1025", "--eval_num_points 1025"),
    ],
)
def test_bad_flags_are_an_error_that_names_them(root, tmp_path, flags, message):
    with pytest.raises((ValueError, OSError), match=".") as caught:
        train(root, tmp_path, *flags.split())
    assert message in str(caught.value)


@pytest.mark.parametrize("seed", ["-1", "2147483648", "1.5", "x"])
def test_a_seed_no_generator_can_start_from_is_refused(root, tmp_path, seed, capsys):
    with pytest.raises(SystemExit):
        train_crosspoint.parse_args(command(root, tmp_path, "--seed", seed))
    assert "--seed: must be a whole number from 0 to 2147483647" in capsys.readouterr().err
