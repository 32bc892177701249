import sys

import numpy as np
import pytest
from PIL import Image

from tests.support.tiny_trees import write_shapenet
from utils.figures import class_plots, cloud_plots, curve_plots
from utils.figures.plot_style import save_png
from utils.figures.shape_samples import ROW_NAMES, sample_columns
from utils.figures.tsne import tsne_map

RECORDS = [
    {"epoch": 0, "loss/imid": 3.0, "loss/total": 6.0, "lr": 1e-3},
    {"epoch": 1, "loss/imid": 2.0, "loss/total": 4.0, "lr": 5e-4, "svm/modelnet40_val": 0.75},
]


def lines(axes):
    return {line.get_label().split(":")[0]: line.get_xydata().tolist() for line in axes.get_lines()}


def test_loss_curves_hold_every_loss_term_and_the_accuracy_in_percent_where_there_is_one():
    losses, accuracy = curve_plots.loss_curves(RECORDS).axes
    assert lines(losses) == {"intra-modal (IMID)": [[0, 3], [1, 2]], "total": [[0, 6], [1, 4]]}
    assert lines(accuracy) == {"modelnet40": [[1, 75]]}


def test_loss_curves_hold_every_held_out_figure_whatever_the_task():
    records = [{"epoch": 0, "loss/part": 2.0, "part_seg/val_miou_class": 0.25, "hours": 0.5}]
    losses, held_out = curve_plots.loss_curves(records).axes
    assert lines(losses) == {"loss/part": [[0, 2]]}
    assert lines(held_out) == {"miou_class": [[0, 25]]}
    assert "part segmentation" in held_out.get_ylabel()


def test_loss_curves_without_held_out_data_have_no_empty_panel_and_those_of_no_epoch_are_refused():
    assert len(curve_plots.loss_curves(RECORDS[:1]).axes) == 1
    with pytest.raises(ValueError, match="no epoch"):
        curve_plots.loss_curves([])


def test_growth_has_a_logarithmic_panel_for_each_figure_and_size_that_was_measured():
    places = {("time", "N"): {"ours: N^1": ([1, 2, 4], [3, 6, 12])}, ("memory", "k"): {"a": ([5, 6], [7, 8])}}
    axes = [axes for axes in curve_plots.growth_panels(places).axes if axes.get_visible()]
    assert [(one.get_ylabel(), one.get_xlabel()) for one in axes] == [("time", "N"), ("memory", "k")]
    assert {one.get_xscale() for one in axes} == {one.get_yscale() for one in axes} == {"log"}
    assert axes[0].get_lines()[0].get_xydata().tolist() == [[1, 3], [2, 6], [4, 12]]
    assert axes[0].get_legend().get_texts()[0].get_text() == "ours: N^1"


def test_confusion_matrix_rows_are_shares_of_the_true_class():
    labels, predictions = np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, 1, 1])
    axes = class_plots.draw_confusion_matrix(labels, predictions, ["a", "b", "absent"]).axes[0]
    assert axes.images[0].get_array().tolist() == [[75, 25, 0], [0, 100, 0], [0, 0, 0]]
    assert sorted(text.get_text() for text in axes.texts) == ["100", "25", "75"]


def test_confusion_matrix_of_many_classes_names_all_of_them_and_drops_the_numbers():
    labels = np.arange(69)
    axes = class_plots.draw_confusion_matrix(labels, labels, [f"class {i}" for i in labels]).axes[0]
    assert len(axes.get_yticklabels()) == 69
    assert not axes.texts


def test_classes_differ_in_colour_or_marker_up_to_seventy_two():
    assert len({tuple(class_plots._style(label).values()) for label in range(72)}) == 72


def test_feature_maps_draw_each_class_once_in_every_map_and_name_it_once():
    labels = np.array([0, 1, 1, 0, 1])
    points = np.arange(10.0).reshape(5, 2)
    figure = class_plots.feature_maps({"random": points, "pre-trained": -points}, labels, ["mug", "cap"])
    assert [axes.get_title() for axes in figure.axes] == ["random", "pre-trained"]
    mug, cap = (dots.get_offsets().tolist() for dots in figure.axes[1].collections)
    assert (mug, cap) == ((-points[labels == 0]).tolist(), (-points[labels == 1]).tolist())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mug", "cap"]


def test_a_cloud_is_drawn_with_up_upwards_and_right_rightwards():
    cloud = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0]])
    axes = cloud_plots.shape_panel([cloud_plots.PanelColumn("axes", [cloud], [])], ["cloud"]).axes[0]
    offsets, nearness = axes.collections[0].get_offsets(), -axes.collections[0].get_array()
    by_nearness = dict(zip(nearness.round(3).tolist(), offsets.tolist()))
    origin, up, right = (by_nearness[key] for key in sorted(by_nearness))
    assert up[1] > origin[1]
    assert up[0] == pytest.approx(origin[0])
    assert right[0] > origin[0]


def test_sampled_columns_span_the_categories_and_a_png_of_them_is_small(tmp_path):
    root = write_shapenet(tmp_path, [f"{synset}/{name}" for synset in ("02691156", "03797390", "zz") for name in "abc"])
    columns = sample_columns(root, num_shapes=4)
    assert sorted({column.title for column in columns}) == ["airplane", "mug", "zz"]
    save_png(cloud_plots.shape_panel(columns, ROW_NAMES), tmp_path / "new" / "panel.png", dpi=50)
    with Image.open(tmp_path / "new" / "panel.png") as image:
        assert image.mode == "P"
        assert image.width > image.height


def test_samples_are_a_function_of_the_seed(tmp_path):
    root = write_shapenet(tmp_path, ["02/a", "02/b", "03/c"])
    one, two, other = (sample_columns(root, num_shapes=2, seed=seed)[0].clouds[1] for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_tsne_keeps_two_clusters_apart_and_refuses_three_rows():
    rng = np.random.default_rng(0)
    centre = np.repeat(np.eye(2, 11), 7, axis=0)
    points = tsne_map(centre + 0.01 * rng.normal(size=centre.shape), seed=3)
    first, second = points[:7], points[7:]
    within = max(np.ptp(first, axis=0).max(), np.ptp(second, axis=0).max())
    assert points.shape == (14, 2)
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > within
    with pytest.raises(ValueError, match="at least 4"):
        tsne_map(np.eye(3))


def test_no_figure_leaves_pyplot_state_behind():
    curve_plots.loss_curves(RECORDS)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
