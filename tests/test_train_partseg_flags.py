"""train_partseg.py: one category, sets of one's own, fewer labels, other networks, voting, examples."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.part_table import part_names, part_table
from models.encoders import build_encoder
from models.heads import point_head
from models.published import export_state, stored_origin
from tests.part_runs import metrics, read_results, results, run_partseg, same, weights, write_part_tree
from utils.part_network import load_part_network

OWN = {"drill": ["bit", "body"], "saw": ["blade", "handle", "guard"], "vice": ["jaw", "base"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_part_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def plain(root, tmp_path_factory):
    """Run folder of the command as it is."""
    return run_partseg(root, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A set of one's own, the file that names its parts, and a run on it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "tools.json").write_text(json.dumps(OWN))
    root = write_part_tree(folder, part_table(OWN), (0, 1, 2))
    return root, str(folder / "tools.json"), run_partseg(root, folder / "runs", "--parts", str(folder / "tools.json"))


@pytest.fixture(scope="module")
def bag(root, tmp_path_factory):
    """A run on one category."""
    return run_partseg(root, tmp_path_factory.mktemp("bag"), "--class_choice", "airplane")


def best(run_dir):
    return str(run_dir / "models" / "best_model.pth")


def test_a_category_alone_is_trained_and_tested_with_its_own_parts(bag):
    record = results(bag)["all_parts"]
    assert "3 clouds" not in (bag / "run.log").read_text()
    assert (record["variant"], record["num_test"], record["num_train"]) == ("airplane", 3, 3)
