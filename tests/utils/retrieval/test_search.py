from types import SimpleNamespace

import numpy as np
import pytest

from datasets.shapes.shape_folder import list_shape_files
from tests.support.tiny_trees import write_shapenet
from utils.retrieval.search import score_both_ways


def test_embeddings_that_tell_shapes_and_categories_apart_score_one_both_ways(tmp_path):
    shapes = list_shape_files(write_shapenet(tmp_path, ["02/a", "02/b", "02/c", "03/d", "03/e"], num_views=2))
    embedding = np.eye(7)[:5] * 0.6  # one axis a shape and one a category
    embedding[range(5), [5, 5, 5, 6, 6]] = 0.8
    twice = SimpleNamespace(
        background="black",
        embed_pictures=lambda pictures: embedding.repeat(2, axis=0)[: len(list(pictures))],
    )
    scores = score_both_ways(twice, shapes, embedding)
    assert list(scores) == ["image_to_shape", "shape_to_image"]
    for score in scores.values():
        assert score.recall[1] == 1
        assert score.map == 1
    assert scores["image_to_shape"].chance_recall[1] == pytest.approx(1 / 5)


def test_a_shape_without_a_view_is_named(tmp_path):
    shapes = list_shape_files(write_shapenet(tmp_path, ["02/a", "03/d"]))
    shapes[1] = shapes[1]._replace(views=())
    with pytest.raises(ValueError, match=r"1 of 2 shapes have no picture \(first: 03/d\)"):
        score_both_ways(SimpleNamespace(), shapes, np.eye(2))
