"""Damaged samples in shards are replaced: the same rows and faults on any number of processes, from any step on."""

import os
import re
import shutil

import pytest
import torch

from datasets.shards.shard_pairs import ShardPairs
from datasets.shards.shard_source import ShardSource
from datasets.shards.shard_streams import EpochOrder, StreamReader
from tests.support.damage import flip
from tests.support.file_server import needs_curl, serving
from tests.support.shard_batches import BATCH, FORKING, SHAPES, STREAMS, assert_same, join, load, open_loader
from tests.support.tiny_shards import read_pass, read_shard

STEPS, ROWS, PER_SHARD = SHAPES // BATCH, BATCH // STREAMS, 7
EPOCH = 21  # yields all of the first shard, in two streams that continue after it
CLOUD, OWNER, SIZE, LETTER = 700, 110, 130, 15  # bytes of a sample: of its cloud, of its first header


def starts(path):
    """Return the offset of each sample of a shard."""
    return [match.start() for match in re.finditer(rb"\d{10}-[0-9a-f]{8}\.points\.npy\0", path.read_bytes())]


def spoil(path, sample, byte):
    flip(starts(path)[sample] + byte)(path)


def cut(path):
    os.truncate(path, starts(path)[5] + CLOUD)


def lengthen(path):
    os.truncate(path, path.stat().st_size + 512)


HEADER, NO_HEADER = "a header with a wrong checksum", "no header of a file|more than"
DAMAGE = {  # what is done to a shard, and the message for each of its samples that is lost
    "cloud": (lambda path: spoil(path, 3, CLOUD), {3: "has another checksum than when written"}),
    "two clouds": (lambda path: [spoil(path, i, CLOUD) for i in (0, 6)], dict.fromkeys((0, 6), "has another checksum")),
    "owner": (lambda path: spoil(path, 2, OWNER), {2: HEADER}),
    "name": (lambda path: spoil(path, 1, LETTER), {1: HEADER}),
    "size": (lambda path: spoil(path, 4, SIZE), {4: HEADER, 5: NO_HEADER, 6: NO_HEADER}),
    "cut": (cut, dict.fromkeys((5, 6), r"the end, \d+ bytes too early")),
    "too long": (lengthen, dict.fromkeys(range(PER_SHARD), r"has \d+ bytes, its index says")),
}


@pytest.fixture(scope="module", params=list(DAMAGE))
def damaged(request, folder, tmp_path_factory):
    """A folder with a damaged shard; the message expected for each of its lost shapes, by number."""
    damage, reasons = DAMAGE[request.param]
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("damaged") / "s")
    index = ShardSource(folder).load_index()
    numbers = [sample.number for sample in read_shard(folder, index, 0)]
    path = copy / index.passes[0][0].name
    damage(path)
    return copy, {numbers[i]: f"^{path} .*{reason}" for i, reason in reasons.items()}


def yielded_by(folder, epoch=EPOCH, streams=STREAMS):
    """Return the numbers of the shapes that each stream of the epoch yields."""
    source, order = ShardSource(folder), EpochOrder(1, epoch, streams, 3)
    readers = [StreamReader(source, source.load_index(), order, stream, 0, SHAPES) for stream in range(streams)]
    numbers = [[reader.sample_at(number).number for number in range(reader.end)] for reader in readers]
    for reader in readers:
        reader.close()
    return numbers


def expected(streams, lost):
    """Return (number of the shape yielded, number of the one it replaces or None) for each row of the epoch."""
    rows = []
    for step in range(STEPS):
        for numbers in streams:
            for own in range(step * ROWS, (step + 1) * ROWS):
                taken = next(number for number in numbers[own:] if number not in lost)
                rows.append((taken, numbers[own] if numbers[own] in lost else None))
    return rows


def test_the_next_sound_sample_of_the_stream_takes_the_place_with_its_item_as_without_damage(folder, damaged):
    copy, lost = damaged
    batches = load(copy, epoch=EPOCH, skips_bad=True)
    rows = expected(yielded_by(folder), lost)
    assert torch.cat([batch["index"] for batch in batches]).tolist() == [taken for taken, _ in rows]
    faults = [fault for batch in batches for fault in batch["fault"]]
    assert any(faults)
    for fault, (_, replaced) in zip(faults, rows, strict=True):
        assert re.search(lost[replaced], fault) if replaced is not None else fault == ""
    pairs = open_loader(folder).dataset
    pairs.set_epoch(EPOCH)
    samples = read_pass(folder, 0)
    for batch in batches:
        for row, number in enumerate(batch["index"].tolist()):
            (item,) = pairs.items([samples[number]])
            assert all(torch.equal(batch[name][row], item[name]) for name in ("aug_a", "aug_b", "image"))


@FORKING
@pytest.mark.parametrize(
    "world_size, num_workers, starts", [(1, 0, range(STEPS + 1)), (2, 0, range(STEPS + 1)), (1, 2, [0]), (2, 2, [1])]
)
def test_ranks_workers_and_resuming_change_nothing(damaged, world_size, num_workers, starts):
    options = {"epoch": EPOCH, "skips_bad": True}
    whole = load(damaged[0], **options)
    options |= {"world_size": world_size, "num_workers": num_workers}
    for start in starts:
        parts = [load(damaged[0], start=start, rank=rank, **options) for rank in range(world_size)]
        assert_same(join(parts), whole[start:])


@needs_curl
def test_a_url_gives_the_same(folder, damaged):
    copy, lost = damaged
    if len(lost) == PER_SHARD:
        pytest.skip("a file behind a URL has no known length")
    with serving(copy) as url:
        batches = load(url, epoch=EPOCH, start=1, skips_bad=True)
    for batch in batches:
        batch["fault"] = [fault.replace(url, str(copy)) for fault in batch["fault"]]
    assert_same(batches, load(copy, epoch=EPOCH, start=1, skips_bad=True))


def test_sound_shards_give_the_batches_without_skipping(folder):
    batches = load(folder, skips_bad=True)
    assert [batch.pop("fault") for batch in batches] == [[""] * BATCH] * STEPS
    assert_same(batches, load(folder))
    assert "fault" not in load(folder)[0]


def test_one_stream_looks_past_the_last_step(folder, tmp_path):
    """The last sample of the last step is replaced by one that no step yields."""
    (numbers,) = yielded_by(folder, epoch=0, streams=1)
    last = STEPS * BATCH - 1
    copy = spoil_shapes(folder, tmp_path, numbers[last : last + 2])
    (batch,) = load(copy, start=STEPS - 1, streams=1, skips_bad=True)
    assert batch["index"].tolist() == [*numbers[last - BATCH + 1 : last], numbers[last + 2]]
    assert [bool(fault) for fault in batch["fault"]] == [False] * (BATCH - 1) + [True]
    copy = spoil_shapes(folder, tmp_path / "all", numbers[last:])
    with pytest.raises(ValueError, match=r"another checksum than when .*; nor can any of the 5 samples after it"):
        load(copy, start=STEPS - 1, streams=1, skips_bad=True)


def spoil_shapes(folder, tmp_path, numbers):
    copy = shutil.copytree(folder, tmp_path / "s")
    index = ShardSource(folder).load_index()
    for shard, entry in enumerate(index.passes[0]):
        for place, sample in enumerate(read_shard(folder, index, shard)):
            if sample.number in numbers:
                spoil(copy / entry.name, place, CLOUD)
    return copy


def test_sixteen_in_a_row_and_no_more_are_skipped(folder, tmp_path):
    (numbers,) = yielded_by(folder, epoch=0, streams=1)
    batches = load(spoil_shapes(folder, tmp_path / "16", numbers[:16]), streams=1, skips_bad=True)
    assert torch.cat([batch["index"] for batch in batches]).tolist()[:17] == [numbers[16]] * 17
    copy = spoil_shapes(folder, tmp_path / "17", numbers[:17])
    with pytest.raises(ValueError, match="nor can any of the 16 samples after it be read"):
        load(copy, streams=1, skips_bad=True)


def test_what_is_no_cloud_in_spite_of_its_checksum_is_skipped(folder, monkeypatch):
    plain = load(folder, epoch=EPOCH)
    bad = int(plain[1]["index"][4])
    read = ShardPairs.read_points

    def refuse(pairs, index):
        if index == bad:
            raise ValueError(f"{pairs.cloud_name(index)}: no\ncloud")
        return read(pairs, index)

    monkeypatch.setattr(ShardPairs, "read_points", refuse)
    batches = load(folder, epoch=EPOCH, skips_bad=True)
    rows = expected(yielded_by(folder), {bad})
    assert torch.cat([batch["index"] for batch in batches]).tolist() == [taken for taken, _ in rows]
    (fault,) = [fault for batch in batches for fault in batch["fault"] if fault]
    assert re.fullmatch(rf".*sample {bad:010d}-\w+ of {folder}/.*\.tar\): no cloud", fault)


def test_no_more_samples_are_held_than_the_buffer_and_those_ahead(folder, tmp_path):
    (numbers,) = yielded_by(folder, epoch=0, streams=1)
    loader = open_loader(spoil_shapes(folder, tmp_path, numbers[4:16]), streams=1, skips_bad=True)
    order = EpochOrder(1, 0, 1, 3)
    reader = StreamReader(loader.dataset.source, loader.dataset.index, order, 0, 0, SHAPES, skips_bad=True)
    held = []
    for number in range(SHAPES - 16):
        for ahead in range(16 if 4 <= number < 16 else 1):
            try:
                reader.sample_at(number + ahead)
                break
            except ValueError:
                pass
        held.append(len(reader._held))
        reader.release(number + 1)
    reader.close()
    assert max(held) <= 3 + 16
    assert held[-1] <= 3
