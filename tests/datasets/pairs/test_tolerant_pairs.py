from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from datasets.pairs.packed_render import PackedRender
from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.pairs.tolerant_pairs import MAX_IN_A_ROW, TolerantPairs
from tests.support.damage import cut, flip
from tests.support.tiny_trees import cloud, pack, write_ply, write_shapenet

SHAPES = [f"02/{i:02d}" for i in range(20)]


@pytest.fixture
def root(tmp_path):
    return write_shapenet(tmp_path / "data", SHAPES, num_views=1)


def pairs(root):
    return ShapeNetRender(root, num_points=61, image_size=8, seed=4)


def spoil(root, *numbers):
    """Damage the clouds of these items; the first must stay sound for the data set to be opened."""
    for number in numbers:
        (root / "ShapeNet" / f"{SHAPES[number]}.ply").write_bytes(b"ply\nnonsense")


def equal(a, b):
    return all(torch.equal(a[key], b[key]) for key in ("aug_a", "aug_b", "image")) and a["index"] == b["index"]


def test_sound_items_are_as_they_were_and_without_fault(root):
    plain, tolerant = pairs(root), TolerantPairs(pairs(root))
    for data in (plain, tolerant):
        data.set_epoch(3)
    assert len(tolerant) == 20
    assert tolerant.files(7) == plain.files(7)
    for index, item in enumerate(tolerant.__getitems__(range(20))):
        assert item.pop("fault") == ""
        assert equal(item, plain[index])


def test_an_item_that_cannot_be_read_is_that_of_the_next_index_with_the_reason(root):
    spoil(root, 5, 6)
    tolerant = TolerantPairs(pairs(root))
    tolerant.set_epoch(2)
    items = tolerant.__getitems__([4, 5, 6, 7])
    assert [item["index"] for item in items] == [4, 7, 7, 7]
    assert [bool(item["fault"]) for item in items] == [False, True, True, False]
    assert items[1]["fault"].startswith(f"{tolerant.files(5)}: {root / 'ShapeNet' / '02' / '05.ply'} is not a readable")
    sound = pairs(root)
    sound.set_epoch(2)
    assert equal(items[1], sound[7])


@pytest.mark.parametrize(
    "name, damage",
    [
        ("ShapeNetRendering/02/05/rendering/00.png", cut(0)),
        ("ShapeNet/02/05.ply", Path.unlink),
        ("ShapeNet/02/05.ply", lambda path: write_ply(path, cloud(5, 60))),
    ],
    ids=["picture", "missing", "small"],
)
def test_faults_of_every_kind_are_skipped(root, name, damage):
    tolerant = TolerantPairs(pairs(root))
    damage(root / name)
    assert tolerant[5]["index"] == 6
    assert str(tolerant.files(5)) in tolerant[5]["fault"]


def test_the_last_item_is_replaced_by_the_first(root):
    spoil(root, 19)
    assert TolerantPairs(pairs(root))[19]["index"] == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_order_and_workers_make_no_difference(root, workers):
    spoil(root, 3, 11, 12)
    loader = DataLoader(TolerantPairs(pairs(root)), batch_size=5, num_workers=workers, shuffle=False)
    alone = [TolerantPairs(pairs(root))[index] for index in range(20)]
    batches = list(loader)
    assert [fault for batch in batches for fault in batch["fault"]] == [item["fault"] for item in alone]
    assert torch.cat([batch["index"] for batch in batches]).tolist() == [item["index"] for item in alone]
    assert torch.equal(torch.cat([batch["aug_a"] for batch in batches]), torch.stack([one["aug_a"] for one in alone]))


def test_too_many_bad_neighbours_are_an_error(root):
    spoil(root, *range(2, 2 + MAX_IN_A_ROW))
    tolerant = TolerantPairs(pairs(root))
    assert tolerant[3]["index"] == 18
    with pytest.raises(ValueError, match=r"17\.ply is not a readable PLY file"):
        tolerant[2]


def test_an_index_that_does_not_exist_is_no_fault_of_the_data(root):
    with pytest.raises(IndexError, match="no item 20"):
        TolerantPairs(pairs(root))[20]


def test_a_damaged_cloud_of_a_packed_file_is_skipped(root, tmp_path):
    path = pack(root, tmp_path / "all.h5")
    packed = PackedRender(path, num_points=61, image_size=8)
    flip(packed.read_points(4).tobytes())(path)
    tolerant = TolerantPairs(PackedRender(path, num_points=61, image_size=8))
    assert tolerant[4]["index"] == 5
    assert "the cloud of 02/04 has another checksum" in tolerant[4]["fault"]
