"""Writing of shards: shuffled passes over all shapes as tar files, then their index.

Each process writes whole shards. The folder's marker lists those finished, from which an interrupted run goes on.
"""

import fcntl
import hashlib
import json
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from tqdm import tqdm

from data.parallel import parallel_map
from data.storage.sample_sources import SampleSource, Task, encode, view_of_pass
from datasets.shards.shard_index import FORMAT, INDEX_NAME, WITH_PAIRS, Shard, ShardIndex, write_index
from datasets.shards.shard_source import ShardSource
from utils.files import write_atomically
from utils.run.provenance import provenance

UNFINISHED = "unfinished"  # marks a folder while shards are written there, and lists those that are finished
_OURS = re.compile(rf"\.?pass-\d+-\d+\.tar(\.\w+)?|(\.index\.json\.\w+)|index\.json|{UNFINISHED}")
_ORDER = 0x4F52  # keeps this random stream apart from that of the order of views
_TAR_END = bytes(1024)
_PIECE = 2**20
_JOBS_AT_ONCE = 8  # of each process; all would take too much memory


@contextmanager
def claim_folder(out: Path, *, overwrite: bool) -> Iterator[None]:
    """Lock the folder `out` for this process; an interrupted run leaves its marker and finished shards there.

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
        yield


class Written(NamedTuple):
    """A finished shard, as the marker notes it.

    `key` is a digest of all that the shard's bytes depend on; `num_points`, `view_sizes` and `most_pair_values` are
    those of its samples.
    """

    key: str
    shard: Shard
    num_points: list[int]
    view_sizes: list[tuple[int, int, int]]
    most_pair_values: int


class Job(NamedTuple):
    """A shard to write: its file, the numbered tasks that read its samples, and the note of an interrupted run."""

    path: Path
    tasks: list[tuple[int, Task]]
    note: Written | None


class Outcome(NamedTuple):
    """What became of a job: the shard, the faults of its samples, and whether the noted one was kept."""

    written: Written
    faults: list[str]
    was_kept: bool


def write_shards(
    source: SampleSource,
    origin: Path,
    out: Path,
    *,
    passes: int,
    samples_per_shard: int,
    seed: int,
    workers: int,
    report: Callable[[str], None] = print,
) -> ShardIndex | list[str]:
    """Fill a claimed folder; a shard of an interrupted run is kept if it would be the same and its hash is right.

    Args:
        origin: path that `source` reads, recorded in the index.
        passes: V, at most the smallest number of views of a shape.
        samples_per_shard: an upper limit; the sizes of shards differ by one at most.
        report: called with a line where shards were kept.
    Returns:
        The index as written, or the faults that were found before writing was given up: all of the first pass.
    Raises:
        OSError: no space, or no permission.
    """
    notes = _read_notes(out)
    _remove_shards(out, keep=notes.keys())
    count = -(-len(source) // samples_per_shard)
    jobs = _jobs(source, out, notes, passes=passes, count=count, seed=seed)
    done: list[Outcome] = []
    faults: dict[str, None] = {}  # in order, once each
    with parallel_map(workers) as run, (out / UNFINISHED).open("a") as marker:
        while (some := list(islice(jobs, _JOBS_AT_ONCE * workers))) and not (faults and len(done) >= count):
            for outcome in run(write_shard, some, "shards"):
                done.append(outcome)
                faults |= dict.fromkeys(outcome.faults)
                if not outcome.faults:
                    marker.write(json.dumps(outcome.written) + "\n")
                    marker.flush()
    if faults:
        _remove_shards(out)
        (out / UNFINISHED).unlink()
        return list(faults)
    if kept := sum(outcome.was_kept for outcome in done):
        report(f"kept {kept} of {len(done)} shards, which an interrupted run had written; their hashes are right")
    record = {"origin": str(origin.resolve()), "command": shlex.join(sys.argv)} | provenance()
    shards = [outcome.written.shard for outcome in done]
    points = [number for outcome in done for number in outcome.written.num_points]
    sizes = sorted({size for outcome in done for size in outcome.written.view_sizes})
    by_pass = [shards[start : start + count] for start in range(0, len(shards), count)]
    most_pair_values = max(outcome.written.most_pair_values for outcome in done)
    index = ShardIndex(len(source), min(points), max(points), sizes, seed, by_pass, record, most_pair_values)
    _remove_shards(out, keep={shard.name for shard in shards})
    write_atomically(out / INDEX_NAME, lambda file: file.write(write_index(index)))
    (out / UNFINISHED).unlink()
    return index


def _jobs(
    source: SampleSource, out: Path, notes: dict[str, Written], *, passes: int, count: int, seed: int
) -> Iterator[Job]:
    """Yield the `count` shards of each pass, in order."""
    for pass_index in range(passes):
        shapes = np.random.default_rng((_ORDER, seed, pass_index)).permutation(len(source))
        for number, part in enumerate(np.array_split(shapes, count)):
            name = f"pass-{pass_index}-{number:06d}.tar"
            yield Job(out / name, _tasks(source, pass_index, seed, part.tolist()), notes.get(name))


def _read_notes(out: Path) -> dict[str, Written]:
    """Read what an interrupted run noted, by name of the shard; a line that a kill cut short is left out."""
    notes = {}
    for line in (out / UNFINISHED).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            key, shard, points, sizes, most_pair_values = json.loads(line)
            written = Written(key, Shard(*shard), points, [tuple(size) for size in sizes], most_pair_values)
        except (ValueError, TypeError):
            continue
        notes[written.shard.name] = written
    return notes


def find_bad_shards(source: ShardSource, index: ShardIndex, workers: int = 1) -> Iterator[str]:
    """Yield a description of each shard that is missing or has changed since it was written."""
    with ThreadPoolExecutor(workers) as pool:  # reading and hashing release Python's lock
        faults = pool.map(partial(_fault_of, source), index.shards)
        yield from filter(None, tqdm(faults, "verify", len(index.shards), disable=None))


def _fault_of(source: ShardSource, shard: Shard) -> str | None:
    try:
        with source.open_shard(shard) as stream:
            is_sound = _sha256(stream) == shard.sha256
    except (OSError, ValueError) as error:
        return str(error)
    return None if is_sound else f"{source.where(shard.name)} has another SHA-256 than when written"


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := stream.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _tasks(source: SampleSource, pass_index: int, seed: int, shapes: list[int]) -> list[tuple[int, Task]]:
    """Number the tasks that read some shapes in one pass."""
    views = [view_of_pass(source.num_views(shape), pass_index, seed, shape) for shape in shapes]
    return [(shape, source.task(shape, view)) for shape, view in zip(shapes, views)]


def write_shard(job: Job) -> Outcome:
    """Write one tar file, unless the noted one is the same and sound."""
    path, tasks, note = job
    key = _key(tasks)
    if note is not None and note.key == key and not _fault_of(ShardSource(path.parent.resolve()), note.shard):
        return Outcome(note, [], was_kept=True)
    digest, size, points, sizes, pair_values, faults = hashlib.sha256(), 0, [], set(), [0], []

    def append(content: bytes, file: BinaryIO) -> None:
        nonlocal size
        digest.update(content)
        size += len(content)
        file.write(content)

    def write(file: BinaryIO) -> None:
        for sample in map(encode, tasks):
            if isinstance(sample, str):
                faults.append(sample)
                continue
            points.append(sample.num_points)
            sizes.add(sample.view_size)
            pair_values.append(sample.pair_values)
            append(sample.content, file)
        append(_TAR_END, file)

    write_atomically(path, write)
    shard = Shard(path.name, len(points), size, digest.hexdigest())
    fewest_and_most = [min(points, default=0), max(points, default=0)]
    written = Written(key, shard, fewest_and_most, sorted(sizes), max(pair_values))
    return Outcome(written, faults, was_kept=False)


def _key(tasks: list[tuple[int, Task]]) -> str:
    """Digest all that a shard depends on; empty, and so unlike any other, where a file cannot be found."""
    digest = hashlib.sha256(f"{FORMAT} {WITH_PAIRS}".encode())
    try:
        for shape, task in tasks:
            digest.update(f"{shape} {task.stamp()}\n".encode(errors="surrogateescape"))
    except OSError:
        return ""
    return digest.hexdigest()


def _remove_shards(out: Path, keep: Collection[str] = ()) -> None:
    """Remove all files but the marker and those to keep, the index first: an incomplete folder never looks complete."""
    (out / INDEX_NAME).unlink(missing_ok=True)
    for path in out.iterdir():
        if _OURS.fullmatch(path.name) and path.name != UNFINISHED and path.name not in keep:
            path.unlink()
