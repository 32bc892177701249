"""Tiny shards, written once."""

import pytest

from tests.support.shard_batches import SHAPES
from tests.support.tiny_shards import make_shards, make_tree


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree"), SHAPES, num_points=31)


@pytest.fixture(scope="session")
def folder(tree, tmp_path_factory):
    return make_shards(tree, tmp_path_factory.mktemp("shards") / "s", passes=3, samples_per_shard=7)
