import numpy as np
import pytest
from PIL import Image

from datasets.parts.shapenet_part import ShapeNetPart
from tests.support.tiny_trees import write_shapenet_part
from utils.figures.plot_style import COLOURS
from utils.parts.part_pictures import FOREIGN, PartClouds, part_colours, part_panel, write_clouds, write_picture


@pytest.fixture
def clouds(tmp_path):
    return ShapeNetPart(write_shapenet_part(tmp_path), "trainval", num_points=41)


@pytest.fixture
def shown(clouds):
    """One cloud of each category of trainval, predicted wrong at point 3 of each."""
    predicted = clouds.part_labels.numpy().copy()
    predicted[:, 3] = 20  # airplane: parts of 11, 10, 10 and 10 points, IoU (1 + 1 + 1 + 9 / 10) / 4
    return PartClouds.first_of_each(clouds, predicted, 1)


def test_the_first_clouds_of_each_category_are_shown(clouds):
    rows = np.arange(6)[:, None] + np.zeros((6, 41), int)
    assert PartClouds.first_of_each(clouds, rows, 1).predicted[:, 0].tolist() == [0, 1, 2]
    assert PartClouds.first_of_each(clouds, rows, 7).predicted[:, 0].tolist() == [0, 3, 1, 4, 2, 5]


def test_the_file_holds_clouds_labels_and_names_without_pickled_objects(tmp_path, shown):
    write_clouds(tmp_path / "run" / "part_clouds.npz", shown)
    with np.load(tmp_path / "run" / "part_clouds.npz", allow_pickle=False) as file:
        arrays = dict(file)
    assert {key: (value.shape, value.dtype.kind) for key, value in arrays.items()} == {
        "points": ((3, 41, 3), "f"),
        "label": ((3, 41), "i"),
        "predicted": ((3, 41), "i"),
        "category": ((3,), "U"),
        "part_names": ((50,), "U"),
    }
    assert arrays["points"].dtype == np.float32
    assert arrays["category"].tolist() == ["airplane", "bag", "table"]
    assert arrays["part_names"][[0, 4, 47]].tolist() == ["airplane body", "bag handle", "table top"]
    assert np.argwhere(arrays["label"] != arrays["predicted"]).tolist() == [[0, 3], [1, 3], [2, 3]]


def test_a_part_has_one_colour_and_a_part_of_another_category_is_grey():
    colours = part_colours(np.array([47, 49, 47, 3, 50, 48]), range(47, 50))
    assert colours.tolist() == [COLOURS[0], COLOURS[2], COLOURS[0], FOREIGN, FOREIGN, COLOURS[1]]


def test_the_panel_has_truth_above_prediction_for_every_cloud(shown):
    axes = part_panel(shown).get_axes()
    assert [a.get_title() for a in axes[:3]] == ["airplane, IoU 0.97", "bag, IoU 0.97", "table, IoU 0.98"]
    assert [len(np.unique(a.collections[0].get_facecolors(), axis=0)) for a in axes[:3]] == [4, 2, 3]
    assert [len(np.unique(a.collections[0].get_facecolors(), axis=0)) for a in axes[3:]] == [5, 3, 4]
    assert axes[0].get_ylabel() == "true"
    assert axes[3].get_ylabel() == "predicted"
    assert [text.get_text() for text in axes[4].get_legend().get_texts()] == ["handle", "body"]


def test_more_than_eight_clouds_take_another_line(shown, tmp_path):
    many = PartClouds(*(np.repeat(array, 3, axis=0) for array in shown[:4]), shown.table)
    write_picture(tmp_path / "parts.png", many)
    with Image.open(tmp_path / "parts.png") as image:
        assert image.width > 1500
    assert len(part_panel(many).get_axes()) == 2 * 2 * 8
