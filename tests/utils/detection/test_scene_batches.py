"""Batches of scenes; a tiny VoteNet learns two of them by heart."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from datasets.detection.votes import votes_of_boxes
from datasets.transforms.scene_augment import ALIGNED_AUGMENT
from models.losses.votenet import SceneTargets
from models.methods.detection import Detection
from tests.support.random_boxes import random_boxes
from tests.support.tiny_detection import cube_scene, eager_votenet
from utils.detection.scene_batches import Scene, collate, detect_scenes, prepare, score_scenes


def cubes(seed):
    points, boxes = cube_scene(np.random.default_rng(seed))
    return Scene(points, boxes, votes_of_boxes(points, boxes))


@pytest.mark.parametrize("augment", [None, ALIGNED_AUGMENT])
def test_points_keep_their_votes_and_get_their_height_over_the_floor(augment):
    scene = cubes(0)
    drawn = prepare(scene, np.random.default_rng(1), 200, augment, use_height=True)
    assert drawn.points.shape == (200, 4)
    assert len(np.unique(drawn.points, axis=0)) == 200
    goals = (drawn.points[:, :3] + drawn.votes.offset[:, 0])[drawn.votes.is_voting]
    distance = np.linalg.norm(goals[:, None] - drawn.boxes.centre, axis=2)
    assert_allclose(distance.min(axis=1), 0, atol=1e-5)
    floor = np.percentile(drawn.points[:, 2], 0.99)
    assert_allclose(drawn.points[:, 3], drawn.points[:, 2] - floor, atol=1e-6)
    assert (augment is None) == np.array_equal(drawn.boxes.centre, scene.boxes.centre)


def test_further_columns_of_points_are_drawn_along_and_not_augmented():
    scene = cubes(0)
    numbered = scene._replace(points=np.c_[scene.points, np.arange(len(scene.points), dtype=np.float32)])
    with_them, without = (
        prepare(one, np.random.default_rng(1), 200, ALIGNED_AUGMENT, use_height=True) for one in (numbered, scene)
    )
    assert np.array_equal(with_them.points[:, [0, 1, 2, 4]], without.points)
    assert np.array_equal(scene.votes.is_voting[with_them.points[:, 3].astype(int)], with_them.votes.is_voting)


def test_a_scene_of_few_points_repeats_them():
    drawn = prepare(cubes(0), np.random.default_rng(1), 500)
    assert len(drawn.points) == 500
    assert len(np.unique(drawn.points, axis=0)) < 448


def test_a_batch_pads_boxes_and_refuses_more_than_it_has_room_for():
    rng = np.random.default_rng(2)
    scenes = []
    for count in (3, 0, 5):
        boxes, points = random_boxes(rng, count), rng.random((7, 3), dtype=np.float32)
        scenes.append(Scene(points, boxes, votes_of_boxes(points, boxes)))
    batch = collate(scenes, 6)
    assert batch.keys() == {"points", *SceneTargets._fields}
    assert batch["is_box"].sum(dim=1).tolist() == [3, 0, 5]
    for row, scene in enumerate(scenes):
        count = len(scene.boxes.label)
        assert_allclose(batch["size"][row, :count], scene.boxes.size)
        assert batch["label"][row].tolist() == scene.boxes.label.tolist() + [0] * (6 - count)
        assert_allclose(batch["offset"][row], scene.votes.offset)
    with pytest.raises(ValueError, match="scene 2 of the batch has 5 boxes, expected at most 4"):
        collate(scenes, 4)


def test_a_tiny_votenet_learns_two_scenes_by_heart():
    torch.manual_seed(0)
    scenes = [scene._replace(points=np.tile(scene.points, 2)) for scene in (cubes(0), cubes(1))]  # places as features
    batch, method = collate(scenes, 4), Detection(eager_votenet())
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2)
    for step in range(60):
        optimizer.param_groups[0]["lr"] = 1e-2 if step < 45 else 2e-3
        optimizer.zero_grad()
        sum(method(batch).values()).backward()
        optimizer.step()
    found = detect_scenes(method.network.eval(), scenes, batch_size=1, device=torch.device("cpu"))
    quarter, half = score_scenes(found, scenes, 2)
    assert (quarter.threshold, half.threshold) == (0.25, 0.5)
    assert quarter.mean_precision > 0.95
    assert quarter.mean_recall == 1
    assert half.mean_precision <= quarter.mean_precision
