import numpy as np
import pytest

from tests.support.tiny_trees import cloud
from utils.figures.contact_sheet import Cell, contact_sheet


def test_each_query_is_a_row_with_its_answers_framed_on_demand():
    picture = np.zeros((7, 11, 3), dtype=np.uint8)
    rows = [
        [Cell("asked", picture), Cell("one", cloud(0, 4001)), Cell("two", picture, "#009E73")],
        [Cell("by cloud", cloud(1)), Cell("three", picture)],
    ]
    figure = contact_sheet(rows)
    grid = np.reshape(figure.axes, (2, 3))
    assert [axes.get_title() for axes in grid.flat] == ["asked", "one", "two", "by cloud", "three", ""]
    assert [len(axes.images) for axes in grid.flat] == [1, 0, 1, 0, 1, 0]
    assert [bool(axes.collections) for axes in grid.flat] == [False, True, False, True, False, False]
    assert len(grid[0, 1].collections[0].get_offsets()) <= 1024
    assert grid[0, 2].spines["top"].get_visible()
    assert not grid[0, 1].spines["top"].get_visible()
    assert not grid[1, 2].axison


def test_a_sheet_without_a_query_is_refused():
    with pytest.raises(ValueError, match="no query"):
        contact_sheet([])
