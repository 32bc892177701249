from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from datasets.shapes.shape_folder import list_shape_files
from tests.support.tiny_trees import write_shapenet
from utils.retrieval.composed_queries import KINDS, ComposedQueries, kinds_sheet, score_kind

SHAPES = [f"{synset}/{number}" for synset in ("02", "03") for number in range(4)]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return list_shape_files(write_shapenet(tmp_path_factory.mktemp("tree"), SHAPES, num_views=3, size=40))


def pixels(queries, number, kind):
    return queries.query(number, kind).pixels.numpy()


def test_kinds_show_one_view_differently_and_again_the_same(shapes):
    queries = ComposedQueries(shapes, "black", seed=3)
    assert (len(queries), queries.owner.tolist()) == (8, list(range(8)))
    assert len({queries.query(5, kind).path for kind in KINDS}) == 1
    pictures = {kind: pixels(queries, 5, kind) for kind in KINDS}
    assert len({picture.tobytes() for picture in pictures.values()}) == 3
    again = ComposedQueries(shapes, "black", seed=3)
    assert all(np.array_equal(picture, pixels(again, 5, kind)) for kind, picture in pictures.items())
    assert not np.array_equal(pictures["furnished"], pixels(ComposedQueries(shapes, "black", seed=4), 5, "furnished"))


def test_plain_and_cut_objects_stand_on_the_trainings_background_and_a_room_fills_the_picture(shapes):
    queries = ComposedQueries(shapes, "white")
    for kind, is_white in (("plain", True), ("cut", True), ("furnished", False)):
        assert (pixels(queries, 2, kind)[:, 0, 0] == 255).all() == is_white
    assert not queries.whole


def test_a_picture_without_an_object_to_cut_out_stays_whole_and_is_counted(tmp_path):
    folder = write_shapenet(tmp_path, SHAPES[:2], num_views=1, size=40)
    speck = np.zeros((40, 40, 4), np.uint8)
    speck[20, 20] = 255
    Image.fromarray(speck).save(folder / "ShapeNetRendering" / SHAPES[0] / "rendering" / "00.png")
    queries = ComposedQueries(list_shape_files(folder), "black")
    assert pixels(queries, 0, "cut").min() > 0
    assert queries.whole == {0}


def test_several_views_of_a_shape_are_different_ones(shapes):
    queries = ComposedQueries(shapes, "black", views=2)
    assert queries.owner.tolist() == np.repeat(range(8), 2).tolist()
    assert len(set(queries.asked)) == 16


def mean_colours(pictures):
    rows = np.stack([picture.float().mean(dim=(1, 2)).numpy() - 100 for picture in pictures])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_equal_a_loop_over_queries_and_shapes(shapes, kind):
    queries = ComposedQueries(shapes, "black", views=2)
    index = np.random.default_rng(0).normal(size=(8, 3))
    index /= np.linalg.norm(index, axis=1, keepdims=True)
    rows, score = score_kind(SimpleNamespace(embed_pictures=mean_colours), queries, kind, index)
    ranks, same_category = [], []
    for number in range(16):
        order = sorted(range(8), key=lambda shape: -float(index[shape] @ rows[number]))
        ranks.append(order.index(number // 2))
        same_category.append([shape // 4 == number // 8 for shape in order])
    for k in (1, 5):
        assert score.recall[k] == pytest.approx(np.mean(np.array(ranks) < k))
    assert score.precision == {1: pytest.approx(np.mean([row[0] for row in same_category])), 10: pytest.approx(0.5)}
    assert 0 < score.recall[5] < 1
    sheet = kinds_sheet(queries, {kind: rows}, index, number=2, top=3)
    assert [row[0].title.split("\n")[0] for row in sheet] == [kind, kind]
    assert [len(row) for row in sheet] == [4, 4]


def test_shapes_that_cannot_be_asked_for_are_refused(shapes, tmp_path):
    with pytest.raises(ValueError, match=r"1 of 8 have no view \(first: 02/0\)"):
        ComposedQueries([shapes[0]._replace(views=()), *shapes[1:]], "black")
    with pytest.raises(ValueError, match="two or more shapes: 1 in all"):
        ComposedQueries(shapes[:1], "black")
    folder = write_shapenet(tmp_path, SHAPES[:2], num_views=1)
    path = folder / "ShapeNetRendering" / SHAPES[1] / "rendering" / "00.png"
    Image.new("RGB", (16, 16)).save(path)
    with pytest.raises(ValueError, match=r"00\.png is opaque: nothing can be put behind it"):
        ComposedQueries(list_shape_files(folder), "black").query(1, "plain")
    Image.new("RGBA", (16, 16)).save(path)
    with pytest.raises(ValueError, match=r"00\.png: nothing in the view is opaque; render it again"):
        ComposedQueries(list_shape_files(folder), "black").query(1, "cut")
