"""Items and batches of rooms for a training, and the augmentation of their colours."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from datasets.scenes.scene import Scene
from datasets.scenes.training_rooms import ROOM_AUGMENT, TrainingRooms, collate_rooms
from datasets.transforms.colour_augment import ColourAugment
from utils.training.data_order import order_digest


def room(number, num_points):
    rng = np.random.default_rng(number)
    points = (rng.uniform(0, (4, 6, 2), (num_points, 3)) + (70, -30, 5)).astype(np.float32)
    colours = rng.integers(0, 256, (num_points, 3)).astype(np.uint8)
    return Scene(f"room_{number}", points, colours, rng.integers(0, 13, num_points).astype(np.uint8))


ROOMS = [room(0, 40), room(1, 60), room(2, 50)]


def draws(rooms=ROOMS, **options):
    return TrainingRooms(rooms, Path("root"), **{"seed": 4, "length": 4, **options})


def test_a_plain_item_is_the_room_around_the_origin_with_its_colours_from_minus_to_plus_a_half():
    item = draws()[1]
    moved_by = ROOMS[1].points - item["points"].numpy()
    assert_allclose(moved_by, np.broadcast_to(moved_by[0], moved_by.shape), atol=1e-5)
    assert_allclose(item["points"].amin(0), -item["points"].amax(0), atol=1e-5)
    assert_allclose(item["colours"], ROOMS[1].colours / 255 - 0.5, atol=1e-6)
    assert item["label"].tolist() == ROOMS[1].labels.tolist()


def test_rooms_take_turns_over_the_epochs():
    rooms, seen = draws(), []
    for epoch in range(3):
        rooms.set_epoch(epoch)
        seen += [rooms[number]["index"] for number in range(4)]
    assert seen == [0, 1, 2] * 4
    assert rooms.files(4) == "root: room_1"


def test_an_augmented_item_turns_about_the_vertical_and_changes_with_the_epoch_alone():
    rooms = draws(augment=ROOM_AUGMENT, colours=ColourAugment(0.05, 0.005), length=3)
    first, again = rooms[0], rooms[0]
    assert all(torch.equal(first[name], again[name]) for name in ("points", "colours", "label"))
    plain = draws()[0]["points"]
    scale = (first["points"].norm(dim=1) / plain.norm(dim=1)).numpy()
    assert_allclose(scale, scale[0], rtol=1e-4)
    assert 0.9 <= scale[0] <= 1.1
    assert_allclose(first["points"][:, 2], plain[:, 2] * scale[0], atol=1e-5)
    rooms.set_epoch(1)
    assert not torch.equal(rooms[0]["points"], first["points"])
    assert not torch.equal(rooms[0]["colours"], first["colours"])


def test_a_crop_is_a_square_seen_from_above_with_its_own_colours_and_labels():
    item = draws(crop=2.0)[1]
    whole, colours = ROOMS[1], torch.from_numpy(ROOMS[1].colours / 255 - 0.5).float()
    assert 0 < len(item["points"]) < len(whole.points)
    assert (item["points"][:, :2].abs() <= 1.0 + 1e-5).all()
    rows = [int(torch.where((colours == own).all(dim=1))[0][0]) for own in item["colours"]]
    assert item["label"].tolist() == whole.labels[rows].tolist()
    assert_allclose(np.diff(item["points"], axis=0), np.diff(whole.points[rows], axis=0), atol=1e-5)


def test_a_batch_joins_rooms_of_any_sizes():
    rooms = draws()
    batch = collate_rooms([rooms[0], rooms[1]])
    assert (batch["lengths"], batch["index"].tolist()) == ([40, 60], [0, 1])
    assert torch.equal(batch["points"][40:], rooms[1]["points"])
    assert torch.equal(batch["label"][:40], rooms[0]["label"])
    assert batch["colours"].shape == (100, 3)


def test_other_rooms_are_another_order():
    assert order_digest(draws()) == order_digest(draws(seed=9))
    assert order_digest(draws()) != order_digest(draws([ROOMS[1], ROOMS[0], ROOMS[2]]))


@pytest.mark.parametrize(("shift", "jitter", "least", "most"), [(0.1, 0.0, 2, 26), (0.0, 0.05, 30, 90)])
def test_colours_are_shifted_together_or_each_by_itself(shift, jitter, least, most):
    grey = np.full((500, 3), 128, np.uint8)
    changes = [ColourAugment(shift, jitter)(grey, np.random.default_rng(seed)) - 128 for seed in range(20)]
    assert 0.8 <= np.mean([change.any() for change in changes]) <= 1
    assert least <= max(np.abs(change).max() for change in changes) <= most
    assert (max(np.ptp(change, axis=0).max() for change in changes) == 0) == (jitter == 0)
    assert all(ColourAugment(1.0, 1.0)(grey, np.random.default_rng(seed)).min() >= 0 for seed in range(3))


def test_the_contrast_is_stretched_in_one_room_of_five():
    narrow = np.tile(np.arange(100, 151, dtype=np.uint8)[:, None], 3)
    ranges = [np.ptp(ColourAugment(0, 0)(narrow, np.random.default_rng(seed))) for seed in range(200)]
    assert 0.1 < np.mean(np.array(ranges) > 50.5) < 0.3
    assert max(ranges) <= 255
