"""Writing of shards: shuffled passes over all shapes as tar files, then their index."""

import fcntl
import hashlib
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from data.parallel import parallel_map
from data.storage.sample_sources import Encoded, SampleSource, Task, encode, view_of_pass
from datasets.shards.shard_index import FORMAT, INDEX_NAME, Shard, ShardIndex, write_index
from datasets.shards.shard_source import ShardSource
from utils.files import write_atomically
from utils.run.provenance import provenance

UNFINISHED = "unfinished"  # marks a folder while shards are written there
_OURS = re.compile(rf"\.?pass-\d+-\d+\.tar(\.\w+)?|(\.index\.json\.\w+)|index\.json|{UNFINISHED}")
_ORDER = 0x4F52  # keeps this random stream apart from that of the order of views
_TAR_END = bytes(1024)
_PIECE = 2**20


@contextmanager
def claim_folder(out: Path, *, overwrite: bool) -> Iterator[None]:
    """Empty the folder `out` of shards and lock it for this process; an interrupted run leaves its marker there.

    Raises:
        FileExistsError: it holds shards and `overwrite` is not set, or other files, or another process has locked it.
    """
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"--out {out} is a file; name a folder")
    out.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in out.iterdir()}
    if INDEX_NAME in names and not overwrite:
        raise FileExistsError(f"{out} holds shards; choose another --out, or replace them with --overwrite")
    others = sorted(name for name in names if not _OURS.fullmatch(name))
    is_ours = UNFINISHED in names or (INDEX_NAME in names and FORMAT.encode() in (out / INDEX_NAME).read_bytes())
    if others or (names and not is_ours):
        first = (others or sorted(names))[0]
        raise FileExistsError(f"{out} holds files that data.shard did not write, such as {first}; name another folder")
    with (out / UNFINISHED).open("a") as note:
        try:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(f"another data.shard is writing into {out}; wait for it, or end it") from None
        _remove_shards(out)
        yield


def write_shards(
    source: SampleSource, origin: Path, out: Path, *, passes: int, samples_per_shard: int, seed: int, workers: int
) -> ShardIndex | list[str]:
    """Fill a claimed folder.

    Args:
        origin: path that `source` reads, recorded in the index.
        passes: V, at most the smallest number of views of a shape.
        samples_per_shard: an upper limit; the sizes of shards differ by one at most.
    Returns:
        The index as written, or the faults that prevented writing, those of the first pass that has any.
    Raises:
        OSError: no space, or no permission.
    """
    written: list[list[Shard]] = []
    points, sizes = set(), set()
    count = -(-len(source) // samples_per_shard)
    with parallel_map(workers) as run:
        for pass_index in range(passes):
            shapes = np.random.default_rng((_ORDER, seed, pass_index)).permutation(len(source))
            shards, faults = [], []
            for number, part in enumerate(np.array_split(shapes, count)):
                name = f"pass-{pass_index}-{number:06d}.tar"
                tasks = _tasks(source, pass_index, seed, part.tolist())
                encoded = run(encode, tasks, name)
                shards.append(_write_shard(out / name, encoded, points, sizes, faults))
            if faults:
                _remove_shards(out)
                (out / UNFINISHED).unlink()
                return faults
            written.append(shards)
    record = {"origin": str(origin.resolve()), "command": shlex.join(sys.argv)} | provenance()
    index = ShardIndex(len(source), min(points), max(points), sorted(sizes), seed, written, record)
    write_atomically(out / INDEX_NAME, lambda file: file.write(write_index(index)))
    (out / UNFINISHED).unlink()
    return index


def find_bad_shards(source: ShardSource, index: ShardIndex) -> Iterator[str]:
    """Yield a description of each shard that is missing or has changed since it was written."""
    for shard in index.shards:
        try:
            with source.open_shard(shard) as stream:
                if _sha256(stream) != shard.sha256:
                    yield f"{source.where(shard.name)} has another SHA-256 than when written"
        except (OSError, ValueError) as error:
            yield str(error)


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := stream.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _tasks(source: SampleSource, pass_index: int, seed: int, shapes: list[int]) -> list[tuple[int, Task]]:
    """Number the tasks that read some shapes in one pass."""
    views = [view_of_pass(source.num_views(shape), pass_index, seed, shape) for shape in shapes]
    return [(shape, source.task(shape, view)) for shape, view in zip(shapes, views)]


def _write_shard(
    path: Path, encoded: Iterator[Encoded | str], points: set[int], sizes: set[tuple[int, int, int]], faults: list[str]
) -> Shard:
    """Write one tar file, adding to `points`, `sizes` and `faults` what its samples show."""
    digest, counts = hashlib.sha256(), [0, 0]

    def write(file: BinaryIO) -> None:
        for sample in encoded:
            if isinstance(sample, str):
                faults.append(sample)
                continue
            points.add(sample.num_points)
            sizes.add(sample.view_size)
            counts[0] += 1
            _append(sample.content, file)
        _append(_TAR_END, file)

    def _append(content: bytes, file: BinaryIO) -> None:
        digest.update(content)
        counts[1] += len(content)
        file.write(content)

    write_atomically(path, write)
    return Shard(path.name, counts[0], counts[1], digest.hexdigest())


def _remove_shards(out: Path) -> None:
    """Remove all files but the marker, the index first, so that an incomplete folder never looks complete."""
    (out / INDEX_NAME).unlink(missing_ok=True)
    for path in out.iterdir():
        if _OURS.fullmatch(path.name) and path.name != UNFINISHED:
            path.unlink()
