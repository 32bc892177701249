import numpy as np
import pytest
import torch

from datasets.labels import SHAPENET_PART
from datasets.parts.part_table import part_table
from datasets.parts.shapenet_part import ShapeNetPart
from tests.support.tiny_trees import labelled, write_h5, write_shapenet_part
from utils.evaluation.metrics import shape_iou, shape_ious
from utils.parts.part_scores import (
    PROTOCOLS,
    VOTE_SCALES,
    category_table,
    part_record,
    predict_parts,
    score_parts,
    vote_scales,
)

CPU = torch.device("cpu")


class Lookup(torch.nn.Module):
    """Logits that are a fixed random function of a point's coordinates."""

    def __init__(self, value=None, parts=50):
        super().__init__()
        self.linear = torch.nn.Linear(3, parts)
        self.value = value

    def forward(self, points, category):
        assert not self.training
        logits = torch.sin(37 * self.linear(points))
        return logits if self.value is None else torch.full_like(logits, self.value)


@pytest.fixture
def clouds(tmp_path):
    return ShapeNetPart(write_shapenet_part(tmp_path), "trainval", num_points=97)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Lookup()


def test_both_protocols_take_the_largest_logit_of_all_parts_or_of_the_categorys_own(clouds, network):
    every, own = predict_parts(network, clouds, batch_size=4, device=CPU).values()
    with torch.no_grad():
        logits = network.eval()(clouds.points, clouds.categories)
    assert np.array_equal(every, logits.argmax(dim=-1))
    for row, category in enumerate(clouds.categories):
        parts = SHAPENET_PART[category].part_labels
        assert np.array_equal(own[row], parts.start + logits[row, :, parts.start : parts.stop].argmax(dim=-1))


def test_figures_are_means_over_shapes_categories_and_points(clouds, network):
    predictions = predict_parts(network.train(), clouds, batch_size=5, device=CPU)
    assert network.training
    assert tuple(predictions) == PROTOCOLS
    for score in score_parts(clouds, predictions):
        predicted, truth = predictions[score.protocol], clouds.part_labels.numpy()
        ious = shape_ious(truth, predicted, clouds.categories.numpy()).reshape(
            2, 3
        )  # an airplane, a bag, a table; twice
        assert score.miou_instance == pytest.approx(ious.mean())
        assert score.miou_class == pytest.approx(ious.mean())
        assert score.accuracy == pytest.approx(np.mean(truth == predicted))
        assert score.by_category == pytest.approx(dict(zip(("airplane", "bag", "table"), ious.mean(axis=0))))


def test_logits_that_are_no_numbers_are_an_error(clouds):
    with pytest.raises(ValueError, match="cloud 0 has a logit that is not finite"):
        predict_parts(Lookup(float("nan")), clouds, batch_size=4, device=CPU)


def test_the_table_and_the_record_hold_every_category_that_occurs(clouds, network):
    scores = score_parts(clouds, predict_parts(network, clouds, batch_size=4, device=CPU))
    lines = category_table(scores, clouds).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["airplane", "2"], ["bag", "2"], ["table", "2"]]
    assert lines[0].split() == ["category", "shapes", "all_parts", "category_parts"]
    record = part_record(scores[0], clouds, split="test", k=4)
    assert (record["protocol"], record["num_test"], record["num_points"], record["k"]) == ("all_parts", 6, 97, 4)
    assert (record["num_classes"], record["num_parts"], record["split"]) == (16, 50, "test")


def test_a_custom_set_is_scored_by_its_table(tmp_path):
    table = part_table({"lamp": ["base", "shade"], "chair": ["back", "seat", "leg"]})
    arrays = labelled([1, 0, 1])
    truth = np.array([[2], [0], [3]]) + np.arange(97) % 2
    write_h5(tmp_path / "ply_data_test0.h5", **arrays, pid=truth)
    clouds = ShapeNetPart(tmp_path, "test", num_points=97, table=table)
    torch.manual_seed(0)
    predictions = predict_parts(Lookup(parts=5), clouds, batch_size=2, device=CPU)
    assert set(np.unique(predictions["category_parts"][1])) <= {0, 1}
    assert set(np.unique(predictions["category_parts"][[0, 2]])) == {2, 3, 4}
    assert set(np.unique(predictions["all_parts"])) == {0, 1, 2, 3, 4}
    score = score_parts(clouds, predictions)[0]
    assert list(score.by_category) == ["lamp", "chair"]
    rows = zip(truth, predictions["all_parts"], (range(2, 5), range(2), range(2, 5)))
    ious = [shape_iou(*row) for row in rows]
    assert score.miou_instance == pytest.approx(np.mean(ious))
    assert score.miou_class == pytest.approx((ious[1] + (ious[0] + ious[2]) / 2) / 2)
    assert category_table([score], clouds).splitlines()[1].split()[:2] == ["lamp", "1"]


@pytest.mark.parametrize("votes, batch_size, seed", [(0, 4, 5), (1, 4, 5), (3, 4, 5), (3, 5, 5), (3, 4, 6)])
def test_votes_are_the_mean_of_the_logits_of_rescaled_copies(clouds, network, votes, batch_size, seed):
    voted = predict_parts(network, clouds, batch_size=batch_size, device=CPU, votes=votes, seed=seed)["all_parts"]
    scales = vote_scales(len(clouds), max(votes, 1), seed)
    with torch.no_grad():
        logits = torch.stack([network.eval()(clouds.points * scale[:, None], clouds.categories) for scale in scales])
    assert np.array_equal(voted, logits.mean(dim=0).argmax(dim=-1))


def test_the_first_vote_is_the_cloud_as_it_is_and_more_votes_keep_the_earlier():
    few, many = vote_scales(7, 2, seed=3), vote_scales(7, 5, seed=3)
    assert torch.equal(few[0], torch.ones(7, 3))
    assert torch.equal(many[:2], few)
    assert not torch.equal(many[1], many[2])
    assert not torch.equal(few, vote_scales(7, 2, seed=4))
    assert VOTE_SCALES[0] <= many[1:].min() < 0.9 < 1.1 < many[1:].max() <= VOTE_SCALES[1]
