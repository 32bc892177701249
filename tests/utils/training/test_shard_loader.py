"""Batches from shards: the same on any number of processes, from any step on, as reading the pass by number."""

import itertools

import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from datasets.pairs.packed_render import PackedRender
from datasets.shapes.shape_tree import list_shapes
from datasets.shards.shard_pairs import ShardPairs
from datasets.transforms.point_transforms import PointAugment
from tests.support.file_server import needs_curl, serving
from tests.support.shard_batches import BATCH, FORKING, SHAPES, assert_same, join, load, open_loader
from tests.support.tiny_shards import make_shards, make_tree, read_pass
from tests.support.tiny_trees import disc_view, pack
from utils.training.shard_loader import ShardLoader

STEPS = SHAPES // BATCH


def numbers_of(batches):
    return torch.cat([batch["index"] for batch in batches]).tolist()


@FORKING
@pytest.mark.parametrize("world_size, num_workers", [(1, 0), (1, 1), (1, 2), (1, 4), (2, 0), (2, 2), (4, 0), (4, 1)])
def test_processes_and_workers_change_nothing_from_any_step_on(folder, world_size, num_workers):
    whole = load(folder, epoch=1)
    options = {"epoch": 1, "world_size": world_size, "num_workers": num_workers}
    for start in range(STEPS + 1):
        parts = [load(folder, start=start, rank=rank, **options) for rank in range(world_size)]
        assert_same(join(parts), whole[start:])


def test_an_epoch_has_every_shape_at_most_once_and_whole_batches(folder):
    batches = load(folder)
    assert [len(batch["index"]) for batch in batches] == [BATCH] * STEPS
    seen = numbers_of(batches)
    assert len(set(seen)) == STEPS * BATCH
    assert set(seen) <= set(range(SHAPES))
    assert len(open_loader(folder)) == STEPS


def test_epochs_seeds_streams_and_the_buffer_change_the_order(folder):
    options = [{}, {"epoch": 3}, {"seed": 2}, {"streams": 2}, {"shuffle_buffer": 5}]
    orders = [numbers_of(load(folder, **option)) for option in options]
    assert all(one != other for one, other in itertools.combinations(orders, 2))


@pytest.mark.parametrize(
    "options",
    [{}, {"background": "white"}, {"augment": False}, {"with_images": False}, {"num_points": None}, {"seed": 4}]
    + [{"clouds": {"points": PointAugment(crop_min=0.4), "local": PointAugment(crop_min=0.1, num_points=9)}}],
)
def test_items_are_those_of_the_packed_file(tree, folder, tmp_path, options):
    """With the view of the pass as the only one of each shape, a packed file gives the same items."""
    packed = PackedRender(pack(tree, tmp_path / "all.h5"), image_size=12, **({"num_points": 23, "seed": 1} | options))
    epoch = 4
    samples = read_pass(folder, epoch % 3)
    view = {number: int(bytes(sample.name)[-6:-4]) for number, sample in samples.items()}
    read_pixels = packed.read_pixels
    packed.num_views = lambda index: 1
    packed.read_pixels = lambda index, _: read_pixels(index, view[index])
    packed.set_epoch(epoch)
    batches = load(folder, epoch=epoch, **options)
    assert_same(batches, [default_collate(packed.__getitems__(batch["index"].tolist())) for batch in batches])


def test_epochs_go_through_the_views(folder):
    names = []
    for epoch in range(4):
        loader = open_loader(folder)
        for batch in loader.epoch(epoch):
            names += [(i, epoch, loader.dataset.files(i).split()[1]) for i in batch["index"].tolist()]
    views = {number: {} for number, _, _ in names}
    for number, epoch, view in names:
        views[number][epoch] = view
    assert any(len(seen) == 4 for seen in views.values())
    for seen in views.values():
        assert len({seen[epoch] for epoch in (0, 1, 2) if epoch in seen}) == len({0, 1, 2} & set(seen))
        assert seen.get(0) == seen.get(3) or not {0, 3} <= set(seen)


def test_files_of_the_latest_batch_are_named(tree, folder):
    loader = open_loader(folder)
    batches = loader.epoch(0)
    number = int(next(batches)["index"][3])
    batches.close()
    name = list_shapes(tree)[number]
    assert loader.dataset.files(number).startswith(f"{name} 0")
    assert f"of {folder}/pass-0-" in loader.dataset.files(number)
    other = next(i for i in range(SHAPES) if i not in loader.dataset.sample_names)
    assert loader.dataset.files(other) == f"shape {other} of {folder}"


def test_views_of_two_sizes_are_resized_while_loading(tmp_path):
    tree = make_tree(tmp_path / "tree", 8, num_views=1)
    Image.fromarray(disc_view(11)).save(tree / "ShapeNetRendering" / "00" / "s0000" / "rendering" / "00.png")
    (batch,) = load(make_shards(tree, tmp_path / "s", passes=1), augment=False)
    assert batch["image"].shape == (8, 3, 12, 12)
    assert batch["image"].dtype == torch.uint8


@needs_curl
@FORKING
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_url_gives_the_batches_of_the_folder(folder, num_workers):
    with serving(folder) as url:
        assert_same(load(url, num_workers=num_workers, start=2), load(folder, start=2))


def test_clouds_that_are_too_small_are_reported_at_once(folder):
    with pytest.raises(ValueError, match="has clouds of 31 points, 32 are needed; pass --num_points 31 or less"):
        ShardPairs(str(folder), num_points=32)
    assert ShardPairs(str(folder)).num_points == 31


@pytest.mark.parametrize(
    "options, message",
    [
        ({"streams": 3}, "--streams 3 must divide --batch_size 8"),
        ({"streams": 4, "world_size": 8}, "pass --streams 8"),
        ({"shuffle_buffer": 0}, "--shuffle_buffer must be at least 1, got 0"),
    ],
)
def test_bad_flags_are_named(folder, options, message):
    with pytest.raises(ValueError, match=message):
        open_loader(folder, **options)


def test_a_batch_larger_than_the_data_is_an_error(folder):
    with pytest.raises(ValueError, match="--batch_size 40 is larger than the data set \\(37 shapes\\)"):
        ShardLoader(ShardPairs(str(folder)), 40, seed=0, num_workers=0, pin_memory=False)


def test_streams_and_workers_are_settled(folder):
    pairs = ShardPairs(str(folder))
    loader = ShardLoader(pairs, 20, seed=0, num_workers=4, pin_memory=False)
    assert (loader.streams, loader.num_workers) == (10, 2)
    assert loader.notes == [
        "--num_workers 4: 2 are used, to share the 10 streams of a process equally; more --streams serve more"
    ]
    loader = ShardLoader(pairs, 20, seed=0, num_workers=5, pin_memory=False, rank=1, world_size=2)
    assert (list(loader.mine), loader.num_workers, loader.notes) == ([5, 6, 7, 8, 9], 5, [])


def test_only_what_is_needed_is_read(folder, monkeypatch):
    opened = []
    loader = open_loader(folder, streams=1, shuffle_buffer=1)
    open_shard = loader.dataset.source.open_shard
    monkeypatch.setattr(
        loader.dataset.source, "open_shard", lambda shard, **how: opened.append(shard) or open_shard(shard, **how)
    )
    list(loader.epoch(0, start=STEPS - 1))
    assert len(opened) == len({shard.name for shard in opened}) <= 3
    assert sum(shard.samples for shard in opened) < SHAPES
