"""Reading of samples: right ones come back, damaged ones are named."""

import io
import tarfile
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pytest

from data.storage.sample_sources import encode
from datasets.pairs.pixel_pairs import PixelPairs
from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.shards.shard_pairs import ShardPairs
from datasets.shards.shard_samples import SampleReader
from datasets.shards.shard_source import ShardSource
from tests.support.tiny_shards import make_shards, make_tree, read_shard
from tests.support.tiny_trees import write_pairs


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree"), 4)


@pytest.fixture(scope="module")
def paired_tree(tmp_path_factory):
    return write_pairs(make_tree(tmp_path_factory.mktemp("paired"), 4))


@pytest.fixture
def folder(tree, tmp_path):
    return make_shards(tree, tmp_path / "s", passes=1)


@pytest.fixture
def index(folder):
    return ShardSource(folder).load_index()


@pytest.fixture
def shard(folder, index):
    """The path of the only shard, of four samples."""
    return folder / index.passes[0][0].name


class Pipe(io.BytesIO):
    """Bytes that cannot be sought in, as those of a network."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation


@pytest.mark.parametrize("kind", [io.BytesIO, Pipe])
def test_what_is_skipped_does_not_matter(folder, index, shard, kind):
    samples = read_shard(folder, index, 0)
    reader = SampleReader(kind(shard.read_bytes()), "here", shard.stat().st_size, index)
    reader.skip(2)
    assert reader.read()[:5] == samples[2][:5]
    reader.skip(0)
    assert reader.read()[:5] == samples[3][:5]
    with pytest.raises(ValueError, match="here is damaged at byte .*: no header"):
        reader.skip()


def test_a_sample_says_where_it_comes_from(folder, index, shard):
    sample = read_shard(folder, index, 0)[1]
    assert str(sample) == f"{bytes(sample.name).decode()} (sample {sample.key} of {shard})"


def read_all(raw, index, size=None):
    reader = SampleReader(io.BytesIO(raw), "here", len(raw) if size is None else size, index)
    return [reader.read() for _ in range(4)]


def test_a_flipped_bit_anywhere_in_a_sample_is_found(index, shard):
    raw = shard.read_bytes()
    sound = [sample[:5] for sample in read_all(raw, index)]
    rng = np.random.default_rng(0)
    for place in rng.integers(len(raw) - 1024, size=300).tolist():
        damaged = bytearray(raw)
        damaged[place] ^= 1 << int(rng.integers(8))
        with suppress(ValueError):  # unless it lies between files, where nothing is stored
            assert [sample[:5] for sample in read_all(bytes(damaged), index)] == sound


def test_pairs_of_all_views_come_back_whole_or_not_at_all(paired_tree, tmp_path):
    folder = make_shards(paired_tree, tmp_path / "paired", passes=1)
    index, trees = ShardSource(folder).load_index(), ShapeNetRender(paired_tree)
    raw = (folder / index.passes[0][0].name).read_bytes()
    samples = read_all(raw, index)
    for sample in samples:
        found, expected = sample.read_pairs(index.most_pair_values), trees.read_pixel_pairs(sample.number)
        assert found.num_views == 3
        assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(found, expected, strict=True))
    reader = SampleReader(io.BytesIO(raw), "here", len(raw), index)
    reader.skip(3)
    assert reader.read().pairs == samples[3].pairs
    for place in range(raw.index(b".pairs.npy.gz") + 512, raw.index(b".pairs.npy.gz") + 600):
        with pytest.raises(ValueError, match="another checksum"):
            read_all(raw[:place] + bytes([raw[place] ^ 4]) + raw[place + 1 :], index)


def test_pairs_are_those_of_the_samples_at_hand(paired_tree, tmp_path):
    class Tables(ShardPairs):
        def __getitems__(self, indices):
            return [self.read_pixel_pairs(index) for index in indices]

    folder = make_shards(paired_tree, tmp_path / "paired", passes=1)
    samples = read_shard(folder, ShardSource(folder).load_index(), 0)
    expected = ShapeNetRender(paired_tree)
    for sample, found in zip(samples, Tables(str(folder)).items(samples), strict=True):
        assert found.rows(32).tolist() == expected.read_pixel_pairs(sample.number).rows(32).tolist()


def test_shards_without_pairs_say_what_to_run(folder, index):
    with pytest.raises(ValueError, match=r"sample .*: the shards hold no pairs .* write the shards again with python"):
        read_shard(folder, index, 0)[0].read_pairs(index.most_pair_values)


@pytest.mark.parametrize("length", [0, 100, 512, 2000, 5000])
def test_a_shard_that_is_cut_is_named(index, shard, length):
    raw = shard.read_bytes()
    with pytest.raises(ValueError, match=r"here is damaged at byte \d+: the end, \d+ bytes too early; copy it again"):
        read_all(raw[:length], index, len(raw))


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(
    "name, size, kind, message",
    [
        ("0000000000-00000000.points.npy", 2**33 - 1, tarfile.REGTYPE, "of 8589934591 bytes, more than there can be"),
        ("0000000000-00000000.points.npy", 3000, tarfile.REGTYPE, "more than there can be"),
        ("0000000000-00000000.points.npy", 0, tarfile.REGTYPE, "of 0 bytes"),
        ("0000000000-00000000.points.npy", 100, tarfile.SYMTYPE, "no plain file"),
        ("../../0000000000-00000000.view.npy.gz", 100, tarfile.REGTYPE, "no plain file *"),
        ("../../0000000000-00000000.points.npy", 100, tarfile.REGTYPE, "no sample, but b'../../0"),
        ("9999999999-00000000.points.npy", 100, tarfile.REGTYPE, "no sample, but b'9999999999"),
        ("0000000000-00000000.points.npy", 100, tarfile.REGTYPE, "sample 0000000000-00000000 has another checksum"),
    ],
)
def test_headers_are_not_believed(index, name, size, kind, message):
    key = name.removesuffix(".points.npy")
    rest = b"".join(header(key + suffix, 100) + bytes(512) for suffix in (".view.npy.gz", ".name.txt"))
    raw = header(name, size, kind) + bytes(512) + rest
    with pytest.raises(ValueError, match="here is damaged at byte 0: ") as error:
        SampleReader(io.BytesIO(raw), "here", 2**40 if size > 10**6 else len(raw), index).read()
    assert message in str(error.value)


class Forged(NamedTuple):
    """Writes what no cloud, picture or table is, with right checksums."""

    points: np.ndarray = np.zeros((97, 3), np.float32)
    pixels: np.ndarray = np.zeros((16, 16, 4), np.uint8)
    pairs: PixelPairs | None = None

    def read(self):
        return self.points, self.pixels, "name", self.pairs


def test_files_of_two_samples_are_not_mixed(index):
    raw = encode((1, Forged())).content
    name = raw.index(b".name.txt") - 19
    other = raw[name : name + 10].replace(b"1", b"2")
    mixed = header((other + raw[name + 10 : name + 19]).decode() + ".name.txt", 4)
    with pytest.raises(ValueError, match="here is damaged at byte 0: no sample"):
        SampleReader(io.BytesIO(raw[:name] + mixed + raw[name + 512 :]), "here", len(raw), index).read()


def test_a_header_with_a_wrong_checksum_is_refused(index):
    raw = bytearray(header("0000000000-00000000.points.npy", 100))
    raw[110] ^= 1  # of the owner
    with pytest.raises(ValueError, match="a header with a wrong checksum"):
        SampleReader(io.BytesIO(raw), "here", 2**20, index).read()


@pytest.mark.parametrize(
    "what, array",
    [
        ("points", np.zeros((16, 2, 3), np.float32)), ("pixels", np.zeros((16, 16, 4), np.int8)),
        ("pixels", np.zeros((256, 16), np.uint8)), ("pixels", np.zeros((200, 200, 4), np.uint8)),
        ("pixels", np.asfortranarray(np.ones((16, 15, 4), np.uint8)).T),
    ],
)  # fmt: skip
def test_other_arrays_with_right_checksums_are_refused(index, what, array):
    raw = encode((1, Forged(**{what: array}))).content
    sample = SampleReader(io.BytesIO(raw), "here", len(raw), index).read()
    if array.shape == (4, 15, 16):
        sample = sample._replace(view=memoryview(b"not gzip" * 9))
    with pytest.raises(ValueError, match="name .sample 0000000001-.* of here.: its (cloud|view) is damaged"):
        sample.read_points() if what == "points" else sample.read_view(16 * 16 * 4)


ONE = PixelPairs.of_views([(np.array([96]), np.array([[0.5, 0.5]]))])


@pytest.mark.parametrize(
    ("pairs", "values", "problem"),
    [
        (ONE._replace(point=np.array([97], np.int32)), None, "it names point 97, the cloud has 97"),
        (ONE, [1, 2, 96, 5, 5], "its starts do not fit its pairs"),
        (ONE, [2, -1, 2, 96, 5, 5], "its starts do not fit its pairs"),
        (ONE, [9, 1, 96, 5, 5], "5 numbers are no table of pairs"),
        (ONE, [-1, 1, 96, 5, 5], "5 numbers are no table of pairs"),
        (ONE, [1, 1, 96, 5], "4 numbers are no table of pairs"),
        (ONE, [1, 1, 96, 5, 65536], "5 numbers are no table of pairs"),
        (ONE, [], "0 numbers are no table of pairs"),
        (ONE, list(range(600)), "not one whole array"),
    ],
)
def test_tables_with_right_checksums_that_are_none_are_refused(index, monkeypatch, pairs, values, problem):
    if values is not None:
        monkeypatch.setattr("data.storage.sample_sources.pack_pairs", lambda _: np.array(values, "<i4"))
    raw = encode((1, Forged(pairs=pairs))).content
    reader = SampleReader(io.BytesIO(raw), "here", len(raw), index._replace(most_pair_values=5))
    with pytest.raises(ValueError, match=f"name .sample 0000000001-.* of here.: its pairs are damaged .{problem}"):
        reader.read().read_pairs(5)
