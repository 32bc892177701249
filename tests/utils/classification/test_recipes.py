"""Recipes of fine-tuning: their constants, and flags that override them."""

import argparse

import pytest

from utils.classification.recipes import RECIPES, add_recipe_args, apply_recipe, check_recipe

OTHER_VALUES = {
    "epochs": 7, "batch_size": 5, "lr": 0.5, "final_lr": 0.0001, "momentum": 0.5, "weight_decay": 0.5,
    "label_smoothing": 0.4, "dropout": 0.1, "k": 6, "steps": 9, "amp": "bf16",
}  # fmt: skip


def parse(*words):
    parser = argparse.ArgumentParser()
    add_recipe_args(parser)
    return apply_recipe(parser.parse_args([str(word) for word in words]))


def test_the_published_recipe_is_that_of_crosspoint_ddp():
    args = parse("--recipe", "published")
    assert (args.use_sgd, args.lr, args.final_lr, args.weight_decay) == (False, 1e-3, 0, 1e-6)
    assert (args.epochs, args.batch_size, args.k, args.augment, args.label_smoothing) == (300, 600, 20, False, 0)


def test_the_dgcnn_recipe_is_that_of_dgcnn():
    args = parse("--recipe", "dgcnn")
    assert (args.use_sgd, args.lr, args.final_lr, args.momentum) == (True, 0.1, pytest.approx(1e-3), 0.9)
    assert (args.weight_decay, args.label_smoothing, args.augment, args.dropout) == (1e-4, 0.2, True, 0.5)
    assert (args.epochs, args.batch_size, args.k) == (250, 32, 20)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("flag", [*OTHER_VALUES, "use_sgd", "augment"])
def test_each_flag_overrides_its_constant_and_no_other(recipe, flag):
    plain = parse("--recipe", recipe)
    value = OTHER_VALUES.get(flag, not getattr(plain, flag))
    words = [f"--{flag}", value] if flag in OTHER_VALUES else [f"--{'' if value else 'no-'}{flag}"]
    changed = parse("--recipe", recipe, *words)
    assert getattr(changed, flag) == value != getattr(plain, flag)
    follows = {"final_lr"} if flag == "lr" else set()
    assert all(vars(plain)[name] == vars(changed)[name] for name in vars(plain).keys() - {flag} - follows)


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
        (("--weight_decay", -1), "--weight_decay must be >= 0"),
    ],
)
def test_a_constant_that_means_nothing_is_refused(words, message):
    with pytest.raises(ValueError, match="--") as caught:
        check_recipe(parse(*words))
    assert message in str(caught.value)
