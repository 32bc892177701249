"""The committed table of classes of the furniture set."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from data.furniture.class_table import SPLITS, TABLE, read_class_table
from data.furniture.library import read_library

INSTALLED = Path(os.environ.get("SWEETHOME3D_FURNITURE", "/usr/share/sweethome3d/furniture"))  # of the package


def test_every_class_is_large_enough_in_both_splits_and_its_name_serves_as_a_folder():
    table = read_class_table()
    counts = Counter(table.places.values())
    assert len(table.class_names) >= 25
    for name in table.class_names:
        train, test = (counts[name, split] for split in SPLITS)
        assert train + test >= 10, name
        assert test >= 3, name
        assert 0.2 <= test / (train + test) <= 0.45, name
        assert name.replace("_", "").isalpha(), name


def test_every_model_has_one_place():
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    listed = [model for splits in table["classes"].values() for split in SPLITS for model in splits[split]]
    listed += table["unclassified"]
    assert [model for model, count in Counter(listed).items() if count > 1] == []
    assert len(listed) == 820


def test_variants_of_a_model_lie_in_one_split():
    table = read_class_table()
    grouped = [model for group in table.variants for model in group]
    assert len(grouped) == len(set(grouped))
    divided = [group for group in table.variants if len({table.places[model].split for model in group}) != 1]
    assert divided == []


def test_the_names_are_those_of_the_package():
    paths = sorted(INSTALLED.glob("*.sh3f"))
    if not paths:
        pytest.skip(f"no libraries of sweethome3d-furniture in {INSTALLED}; SWEETHOME3D_FURNITURE names another folder")
    assert {model.name for path in paths for model in read_library(path).models} == read_class_table().places.keys()
