"""Tables of pairs of pixels and points."""

import numpy as np
import pytest

from datasets.pairs.pixel_pairs import STEPS, PixelPairs


@pytest.fixture
def table() -> PixelPairs:
    views = [([4, 0], [[0.0, 0.5], [0.999999, 0.25]]), ([], []), ([4], [[0.26, 0.74]])]
    return PixelPairs.of_views([(np.array(point, int), np.array(where, float)) for point, where in views])


def test_rows_at_any_size(table):
    assert table.rows(4).tolist() == [[0, 0, 2, 4], [0, 3, 1, 0], [2, 1, 2, 4]]
    assert table.rows(32)[:, 1:3].tolist() == [[0, 16], [31, 8], [8, 23]]
    assert table.per_view.tolist() == [2, 0, 1]


def test_first_views(table):
    assert table.of_first_views(2).rows(4).tolist() == table.rows(4)[:2].tolist()


def test_places_are_exact_to_a_step():
    where = np.random.default_rng(0).random((1000, 2))
    table = PixelPairs.of_views([(np.arange(1000), where)])
    assert np.abs(table.place / STEPS - where).max() < 1 / STEPS
    for size in (7, 32, 112, 224):
        cells = np.floor(table.place / STEPS * size).astype(int)
        assert (table.rows(size)[:, 1:3] == cells).all()


def test_refuses_places_outside():
    with pytest.raises(ValueError, match="outside its view"):
        PixelPairs.of_views([(np.array([0]), np.array([[0.5, 1.0]]))])


def test_faults_are_described(table):
    assert table.fault(5, 3) is None
    assert "point 4, the cloud has 4" in table.fault(4, 3)
    assert "pairs of 3 views, the shape has 2" in table.fault(5, 2)
    assert "starts" in table._replace(starts=np.array([0, 2, 1, 3])).fault(5, 3)
    assert "other types" in table._replace(place=table.place.astype(int)).fault(5, 3)
    assert "point -5" in table._replace(point=table.point - 5).fault(5, 3)
