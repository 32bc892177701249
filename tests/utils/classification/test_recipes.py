from dataclasses import asdict

import pytest

from utils.classification.recipes import CONSTANTS, RECIPES, ClassifierSettings
from utils.flags import add_flags, program_parser

OTHER_VALUES = {
    "epochs": 7, "batch_size": 5, "lr": 0.5, "final_lr": 0.0001, "momentum": 0.5, "weight_decay": 0.5,
    "label_smoothing": 0.4, "dropout": 0.1, "k": 6, "steps": 9, "amp": "bf16", "transform_weight": 0.5,
}  # fmt: skip


def parse(*words):
    parser = program_parser(None)
    add_flags(parser, ClassifierSettings, **dict.fromkeys(CONSTANTS))
    return ClassifierSettings.read(vars(parser.parse_args([str(word) for word in words])))


def test_the_published_recipe_is_that_of_crosspoint_ddp():
    settings = parse("--recipe", "published")
    assert (settings.use_sgd, settings.lr, settings.final_lr, settings.weight_decay) == (False, 1e-3, 0, 1e-6)
    assert (settings.epochs, settings.batch_size, settings.k) == (300, 600, 20)
    assert (settings.augment, settings.label_smoothing) == (False, 0)


def test_the_dgcnn_recipe_is_that_of_dgcnn():
    settings = parse("--recipe", "dgcnn")
    assert (settings.use_sgd, settings.lr, settings.final_lr) == (True, 0.1, pytest.approx(1e-3))
    assert (settings.momentum, settings.weight_decay, settings.label_smoothing) == (0.9, 1e-4, 0.2)
    assert (settings.augment, settings.dropout) == (True, 0.5)
    assert (settings.epochs, settings.batch_size, settings.k) == (250, 32, 20)


def test_the_pointnet_recipe_is_that_of_selfsup_pcd_and_the_others_have_nothing_of_it():
    settings = parse("--recipe", "pointnet")
    assert (settings.use_sgd, settings.lr, settings.final_lr, settings.weight_decay) == (False, 1e-3, 0, 0)
    assert (settings.epochs, settings.batch_size, settings.dropout, settings.label_smoothing) == (250, 32, 0.3, 0)
    assert (settings.scheduler, settings.bn_decay, settings.transform_weight) == ("step", True, 1e-3)
    assert (settings.augment, settings.augment_kind) == (True, "rotate_jitter")
    for other in map(parse, ("--recipe", "--recipe"), ("published", "dgcnn")):
        assert (other.scheduler, other.bn_decay, other.transform_weight) == ("cos", False, 0)
        assert other.augment_kind == "scale_shift"


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("flag", [*OTHER_VALUES, "use_sgd", "augment", "bn_decay"])
def test_each_flag_overrides_its_constant_and_no_other(recipe, flag):
    plain = asdict(parse("--recipe", recipe))
    value = OTHER_VALUES.get(flag, not plain[flag])
    words = [f"--{flag}", value] if flag in OTHER_VALUES else [f"--{'' if value else 'no-'}{flag}"]
    changed = asdict(parse("--recipe", recipe, *words))
    assert changed[flag] == value != plain[flag]
    follows = {"final_lr"} if flag == "lr" else set()
    assert all(plain[name] == changed[name] for name in plain.keys() - {flag} - follows)


def test_the_final_rate_follows_the_initial_one():
    assert parse("--recipe", "dgcnn", "--lr", 0.02).final_lr == pytest.approx(0.0002)
    assert parse("--recipe", "published", "--lr", 0.02).final_lr == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--batch_size", 1), "--batch_size must be at least 2"),
        (("--lr", 0), "--lr must be > 0"),
        (("--lr", "nan"), "--lr must be > 0"),
        (("--lr", 0.01, "--final_lr", 0.02), "--final_lr must be from 0 to --lr 0.01"),
        (("--momentum", 1), "--momentum must be in [0, 1)"),
        (("--label_smoothing", -0.1), "--label_smoothing must be in [0, 1)"),
        (("--dropout", "nan"), "--dropout must be in [0, 1)"),
        (("--weight_decay", -1), "--weight_decay must be at least 0"),
        (("--epochs", 2, "--steps", 9), "--epochs and --steps both"),
    ],
)
def test_a_constant_that_means_nothing_is_refused(words, message):
    with pytest.raises(ValueError, match="--") as caught:
        parse(*words)
    assert message in str(caught.value)
