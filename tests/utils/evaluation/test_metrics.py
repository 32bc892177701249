import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import jaccard_score

from datasets.labels import SHAPENET_PART
from utils.evaluation import metrics

LABEL = np.array([0, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1])
PREDICTED = np.array([0, 3, 1, 3, 3, 1, 1, 0, 2, 1, 1])


def random_parts(num_shapes=7, num_points=53, seed=2):
    """Categories (M,), true and predicted parts (M, N); some predictions are parts of other categories."""
    rng = np.random.default_rng(seed)
    categories = rng.integers(0, len(SHAPENET_PART), num_shapes)
    truth = np.array([rng.choice(SHAPENET_PART[c].part_labels[:-1] or [0], num_points) for c in categories])
    is_kept = rng.random(truth.shape) < 0.6
    return categories, truth, np.where(is_kept, truth, rng.integers(0, 50, truth.shape))


def test_overall_accuracy_is_the_share_of_equal_entries_and_that_of_classes_weighs_each_true_one_alike():
    assert metrics.overall_accuracy(LABEL, PREDICTED) == 7 / 11
    of_classes = [1 / 3, 4 / 6, 2 / 2]  # 2, predicted alone, is no class
    assert metrics.mean_class_accuracy(LABEL, PREDICTED) == np.mean(of_classes)


@pytest.mark.parametrize("metric", [metrics.overall_accuracy, metrics.mean_class_accuracy])
@pytest.mark.parametrize("pair", [([], []), ([1, 2], [1]), ([[1]], [[1]])])
def test_accuracies_refuse_vectors_that_do_not_match(metric, pair):
    with pytest.raises(ValueError, match="non-empty vectors of one length"):
        metric(*pair)


def test_shape_iou_equals_published_values(shared):
    golden = np.load(shared / "golden" / "partseg_metric.npz")
    ious = metrics.shape_ious(golden["seg"], golden["pred"], golden["label"][:, 0])
    assert_allclose(ious, golden["shape_iou"], rtol=0, atol=1e-5)


def test_shape_iou_equals_scikit_learns_jaccard_score_and_is_one_on_truth():
    categories, truth, predicted = random_parts()
    theirs = [
        jaccard_score(*parts, labels=SHAPENET_PART[category].part_labels, average="macro", zero_division=1.0)
        for category, *parts in zip(categories, truth, predicted)
    ]
    assert_allclose(metrics.shape_ious(truth, predicted, categories), theirs)
    assert_allclose(metrics.shape_ious(truth, truth, categories), 1.0)


@pytest.mark.parametrize("predicted, iou_of_absent_part", [([4, 4, 4, 0], 1), ([4, 4, 4, 5], 0)])
def test_a_part_absent_from_both_counts_one_and_one_predicted_where_there_is_none_zero(predicted, iou_of_absent_part):
    assert metrics.shape_iou([4, 4, 4, 4], predicted, range(4, 6)) == (3 / 4 + iou_of_absent_part) / 2


def test_instance_miou_is_the_mean_over_shapes_and_class_miou_over_categories():
    ious, categories = np.array([0.5, 0.7, 0.9, 0.1]), np.array([15, 15, 15, 0])
    assert_allclose(metrics.instance_miou(ious), 0.55)
    assert_allclose(metrics.class_miou(ious, categories), (0.7 + 0.1) / 2)


def test_category_ious_are_named_and_leave_out_categories_without_shapes():
    assert metrics.category_ious([0.5, 0.25, 0.75], [15, 0, 0]) == {"airplane": 0.5, "table": 0.5}


def test_class_iou_refuses_a_category_for_each_point():
    with pytest.raises(ValueError, match="one length"):
        metrics.class_miou([0.5, 0.5], [[0], [1]])
