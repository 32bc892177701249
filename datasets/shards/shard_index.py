"""index.json of a folder of shards: its contents, and the checksums that show whether it is complete."""

import json
import re
import zlib
from typing import Any, NamedTuple

FORMAT, PLAIN, WITH_PAIRS = "crosspoint-shards", 1, 2  # versions without and with pairs of pixels and points
INDEX_NAME = "index.json"
_LARGEST_SIDE = 2**14  # of a view, pixels
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.tar")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Shard(NamedTuple):
    """One tar file: its name, number of samples, length in bytes and hash."""

    name: str
    samples: int
    bytes: int
    sha256: str


class ShardIndex(NamedTuple):
    """Contents of a folder of shards.

    Every pass holds every shape once, each time with a different view. `view_sizes` lists every (H, W, C) that occurs,
    `seed` orders shapes and views, and `provenance` records how the shards were made. `most_pair_values` is the length
    of the longest array of pairs; 0 means that the samples hold none, and the version is then the one without pairs.
    """

    shapes: int
    fewest_points: int
    most_points: int
    view_sizes: list[tuple[int, int, int]]
    seed: int
    passes: list[list[Shard]]
    provenance: dict[str, Any]
    most_pair_values: int = 0

    @property
    def has_pairs(self) -> bool:
        """Whether every sample holds the pairs of all views of its shape."""
        return self.most_pair_values > 0

    @property
    def shards(self) -> list[Shard]:
        """The shards of all passes, in order."""
        return [shard for shards in self.passes for shard in shards]


def write_index(index: ShardIndex) -> bytes:
    """Encode an index as JSON that carries its own checksum."""
    content = {"format": FORMAT, "version": WITH_PAIRS if index.has_pairs else PLAIN, **index._asdict()}
    if not index.has_pairs:
        del content["most_pair_values"]
    content["passes"] = [{"shards": [shard._asdict() for shard in shards]} for shards in index.passes]
    return (json.dumps({**content, "crc32": _checksum(content)}, indent=1) + "\n").encode()


def parse_index(raw: bytes, where: str) -> ShardIndex:
    """Decode the output of `write_index`.

    Args:
        where: path or URL, for messages.
    Raises:
        ValueError: of another kind or version, damaged, or naming a shard by more than a plain file name.
    """
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is no JSON ({error}); write the shards again with python -m data.shard") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{where} was not written by data.shard; name a folder that it wrote")
    if content.get("version") not in (PLAIN, WITH_PAIRS):
        found = content.get("version")
        raise ValueError(f"{where} has version {found}, this code reads {PLAIN} and {WITH_PAIRS}; write it again")
    try:
        index = _index(content)
        _check(index)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where} is damaged: {error}; copy it again, or write the shards again") from error
    checksum = content.pop("crc32", None)
    if checksum != _checksum(content):
        raise ValueError(f"{where} is damaged: its checksum is another; copy it again, or write the shards again")
    return index


def _index(content: dict[str, Any]) -> ShardIndex:
    passes = [[_shard(entry) for entry in one["shards"]] for one in content["passes"]]
    sizes = [tuple(_count(side) for side in size) for size in content["view_sizes"]]
    names = ("shapes", "fewest_points", "most_points", *(["most_pair_values"] * (content["version"] == WITH_PAIRS)))
    numbers = {name: _count(content[name]) for name in names}
    return ShardIndex(
        **numbers, view_sizes=sizes, seed=content["seed"], passes=passes, provenance=content["provenance"]
    )


def _shard(entry: dict[str, Any]) -> Shard:
    shard = Shard(entry["name"], _count(entry["samples"]), _count(entry["bytes"]), entry["sha256"])
    if not isinstance(shard.name, str) or not _NAME.fullmatch(shard.name) or ".." in shard.name:
        raise ValueError(f"{shard.name!r} is no name of a shard (letters, digits and . _ - only, ending in .tar)")
    if not isinstance(shard.sha256, str) or not _SHA256.fullmatch(shard.sha256):
        raise ValueError(f"{shard.name} has no SHA-256")
    return shard


def _count(value: object) -> int:
    if type(value) is not int or not 1 <= value < 2**48:
        raise ValueError(f"{value!r} is no number of things from 1")
    return value


def _check(index: ShardIndex) -> None:
    if not index.passes or any(sum(shard.samples for shard in shards) != index.shapes for shards in index.passes):
        raise ValueError(f"not every pass holds {index.shapes} samples")
    if len({shard.name for shard in index.shards}) != len(index.shards):
        raise ValueError("two shards have one name")
    if index.fewest_points > index.most_points:
        raise ValueError("fewest_points is more than most_points")
    sizes = index.view_sizes
    if not sizes or any(len(size) != 3 or size[2] not in (3, 4) or max(size) > _LARGEST_SIDE for size in sizes):
        raise ValueError("view_sizes holds what is no size of a picture")


def _checksum(content: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
