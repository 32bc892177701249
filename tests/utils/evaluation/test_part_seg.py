"""Part segmentation scores against slow loops, on logits that are looked up instead of computed."""

import numpy as np
import pytest
import torch

from datasets.labels import SHAPENET_PART
from datasets.shapenet_part import ShapeNetPart
from tests.tiny_trees import write_shapenet_part
from utils.evaluation.part_seg import category_table, part_record, predict_parts, score_parts

CPU = torch.device("cpu")


class Lookup(torch.nn.Module):
    """Logits that are a fixed random function of a point's coordinates."""

    def __init__(self, value=None):
        super().__init__()
        self.linear = torch.nn.Linear(3, 50)
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


def test_both_protocols_equal_a_loop_over_points(clouds, network):
    every, own = predict_parts(network, clouds, batch_size=4, device=CPU)
    network.eval()
    for row, cloud in enumerate(clouds):
        parts = SHAPENET_PART[cloud["category"]].part_labels
        with torch.no_grad():
            logits = network(cloud["points"][None], cloud["category"][None])[0]
        for point in range(97):
            assert every[row, point] == max(range(50), key=lambda part: logits[point, part])
            assert own[row, point] == max(parts, key=lambda part: logits[point, part])


def test_figures_equal_a_loop_over_shapes_and_parts(clouds, network):
    for score, predicted in zip(
        score_parts(network, clouds, batch_size=3, device=CPU),
        predict_parts(network, clouds, batch_size=5, device=CPU),
        strict=True,
    ):
        by_category = {}
        for cloud, guess in zip(clouds, predicted, strict=True):
            category = SHAPENET_PART[cloud["category"]]
            truth, ious = cloud["part_label"].numpy(), []
            for part in category.part_labels:
                union = sum((truth == part) | (guess == part))
                ious.append(sum((truth == part) & (guess == part)) / union if union else 1)
            by_category.setdefault(category.name, []).append(np.mean(ious))
        assert score.miou_instance == pytest.approx(np.mean(np.concatenate(list(by_category.values()))))
        assert score.miou_class == pytest.approx(np.mean([np.mean(ious) for ious in by_category.values()]))
        assert score.accuracy == pytest.approx(np.mean(clouds.part_labels.numpy() == predicted))
        assert score.by_category == pytest.approx({name: np.mean(ious) for name, ious in by_category.items()})


def test_the_modes_of_the_network_are_as_before(clouds, network):
    network.train()
    score_parts(network, clouds, batch_size=4, device=CPU)
    assert network.training


def test_logits_that_are_no_numbers_are_an_error(clouds):
    with pytest.raises(ValueError, match="cloud 0 has a logit that is not finite"):
        score_parts(Lookup(float("nan")), clouds, batch_size=4, device=CPU)


def test_the_table_and_the_record_hold_every_category_that_occurs(clouds, network):
    scores = score_parts(network, clouds, batch_size=4, device=CPU)
    lines = category_table(scores, clouds).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["airplane", "2"], ["bag", "2"], ["table", "2"]]
    assert lines[0].split() == ["category", "shapes", "all_parts", "category_parts"]
    record = part_record(scores[0], clouds, split="test", k=4)
    assert (record["protocol"], record["num_shapes"], record["num_points"], record["k"]) == ("all_parts", 6, 97, 4)
