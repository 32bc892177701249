"""index.json: comes back as written; anything else is refused."""

import json
import zlib

import pytest

from datasets.shards.shard_index import Shard, ShardIndex, parse_index, write_index

INDEX = ShardIndex(
    5, 97, 131, [(16, 16, 4), (16, 20, 3)], 7,
    [[Shard("a.tar", 3, 100, "0" * 64), Shard("b.tar", 2, 50, "1" * 64)], [Shard("c.tar", 5, 9, "2" * 64)]],
    {"commit": "x"},
)  # fmt: skip


def forged(change):
    """The JSON of INDEX after a change, its checksum being right."""
    content = json.loads(write_index(INDEX))
    del content["crc32"]
    change(content)
    checksum = zlib.crc32(json.dumps(content, sort_keys=True).encode())
    return json.dumps({**content, "crc32": checksum}).encode()


def test_it_comes_back_as_written():
    assert parse_index(write_index(INDEX), "here") == INDEX
    assert parse_index(forged(lambda content: None), "here") == INDEX
    assert [shard.name for shard in INDEX.shards] == ["a.tar", "b.tar", "c.tar"]


def test_only_shards_with_pairs_have_the_newer_version():
    paired = INDEX._replace(most_pair_values=40)
    assert [json.loads(write_index(index))["version"] for index in (INDEX, paired)] == [1, 2]
    assert "most_pair_values" not in json.loads(write_index(INDEX))
    assert parse_index(write_index(paired), "here") == paired


@pytest.mark.parametrize(
    "name",
    [
        "../a.tar", "/etc/a.tar", "x/a.tar", "a..tar", "a.tar; touch x", "$(touch x).tar", "`touch x`.tar", "a.tar\n",
        "-a.tar", ".a.tar", "pipe:touch x.tar", "a b.tar", "a\x00.tar", "ä.tar", "a*.tar", "a.zip", "", 5, None,
    ],
)  # fmt: skip
def test_names_with_more_than_a_plain_name_are_refused(name):
    raw = forged(lambda content: content["passes"][1]["shards"][0].update(name=name))
    with pytest.raises(ValueError, match="here is damaged: .* is no name of a shard"):
        parse_index(raw, "here")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(shapes=6), lambda c: c.update(shapes=True), lambda c: c.update(shapes=-5),
        lambda c: c.update(fewest_points=200), lambda c: c.update(most_points="131"), lambda c: c.pop("most_points"),
        lambda c: c.update(view_sizes=[]), lambda c: c.update(view_sizes=[[16, 16]]),
        lambda c: c.update(view_sizes=[[16, 16, 5]]), lambda c: c.update(view_sizes=[[10**6, 16, 4]]),
        lambda c: c.update(passes=[]), lambda c: c.update(passes=5), lambda c: c.update(passes=[5]),
        lambda c: c["passes"][0]["shards"].pop(), lambda c: c["passes"][0]["shards"][0].update(samples=10**30),
        lambda c: c["passes"][0]["shards"][0].update(name="b.tar"),
        lambda c: c["passes"][0]["shards"][0].update(sha256="0" * 63), lambda c: c.pop("provenance"),
    ],
)  # fmt: skip
def test_numbers_that_do_not_fit_are_refused(change):
    with pytest.raises(ValueError, match="here is damaged: .*; copy it again"):
        parse_index(forged(change), "here")


def test_a_changed_digit_is_found():
    raw = write_index(INDEX).replace(b'"seed": 7', b'"seed": 8')
    with pytest.raises(ValueError, match="here is damaged: its checksum is another"):
        parse_index(raw, "here")


@pytest.mark.parametrize(
    "raw, message",
    [
        (b"", "is no JSON"), (b"[" * 10**5, "is no JSON"), (b"\xff", "is no JSON"), (b"[]", "was not written by"),
        (b'{"format": "other"}', "was not written by data.shard"),
        (b'{"format": "crosspoint-shards", "version": 3}', "has version 3, this code reads 1 and 2"),
    ],
)  # fmt: skip
def test_other_files_are_told_apart(raw, message):
    with pytest.raises(ValueError, match=f"here {message}"):
        parse_index(raw, "here")
