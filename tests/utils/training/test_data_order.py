from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from datasets.labelled.training_clouds import TrainingClouds
from utils.training.data_order import order_digest


def draws(*, rows=(0, 2, 3), labels=(0, 1, 0, 1, 1), first=0.5, folder="a", length=3):
    points = torch.arange(30.0).reshape(5, 2, 3)
    points[3, 0, 0] = first
    shards = [Path(folder) / "ply_data_train0.h5"]
    clouds = SimpleNamespace(points=points, labels=torch.tensor(labels), shards=shards)
    return order_digest(TrainingClouds(clouds, rows, seed=0, length=length))


@pytest.mark.parametrize("change", [{"rows": (0, 3, 2)}, {"labels": (0, 1, 0, 0, 1)}, {"first": 0.25}, {"length": 4}])
def test_draws_of_other_labelled_clouds_have_another_digest(change):
    assert draws(**change) != draws()


def test_the_folder_and_clouds_that_are_not_drawn_play_no_part():
    assert draws(folder="b", labels=(0, 0, 0, 1, 0)) == draws()
