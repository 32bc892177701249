from dataclasses import asdict, replace

import pytest

from utils.classification.classifier_training import plan_epochs
from utils.classification.recipes import RECIPES, ClassifierSettings

DGCNN = ClassifierSettings(**asdict(RECIPES["dgcnn"]))


def plan(num_clouds, **flags):
    return plan_epochs(num_clouds, replace(DGCNN, **flags))


def test_epochs_are_passes():
    assert plan(64) == (250, 64)
    assert plan(9840, epochs=3) == (3, 9840)


@pytest.mark.parametrize(
    ("num_clouds", "steps", "epochs", "steps_per_epoch"),
    [(64, 200, 10, 20), (64, 50, 2, 25), (64, 7, 1, 7), (10, 41, 2, 21), (3200, 250, 2, 125), (3200, 90, 1, 90)],
)
def test_steps_make_epochs_of_at_least_a_pass_and_twenty_steps(num_clouds, steps, epochs, steps_per_epoch):
    assert plan(num_clouds, steps=steps) == (epochs, steps_per_epoch * min(32, num_clouds))
