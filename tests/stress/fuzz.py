"""Damage files at random and read them: each must be refused by name or give a well-formed result.

    python -m tests.stress.fuzz --seed 1 --checkpoints 200 --inputs 500

For every kind of file the program counts

    refused   a ValueError or OSError whose message names the file
    same      read, and bit for bit equal to the undamaged file: the damage hit bytes that hold nothing
    changed   read, well-formed and different; possible only for kinds without checksums over all their content
    breach    anything else: another exception, a message without the file's name, an ill-formed result, different
              tensors of a checkpoint, more than 1 GiB of memory for one file, or the death of the reading process
              (exit code -27: after 20 s of processor time; -14: after 600 s)

The same seed gives the same damage. Exit status: 0 no breach, 1 breaches, 2 misuse.
"""

import argparse
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data.rendering.isolated_workers import run_isolated
from tests.stress.fuzz_formats import CHECKPOINTS, INPUTS, Format
from tests.stress.fuzz_originals import write_originals
from tests.stress.fuzz_worker import Job, Outcome, read_limited
from utils.cli import run_main
from utils.flags import program_parser, require_at_least, seed_number

RESULTS = ("refused", "same", "changed", "breach")


class Trial(NamedTuple):
    """One damaged file, and its result: one of RESULTS."""

    kind: str
    job: Job
    result: str
    breach: str


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--seed", type=seed_number, default=1)
    parser.add_argument("--checkpoints", type=int, default=200, help="damaged weight files and training states")
    parser.add_argument("--inputs", type=int, default=500, help="damaged files of data, over all kinds")
    parser.add_argument("--keep", type=Path, help="folder that receives the files of breaches")
    args = parser.parse_args(argv)
    require_at_least(0, args, "checkpoints", "inputs")
    return args


def fuzz(
    formats: Mapping[str, Format], originals: Mapping[str, Sequence[Path]], count: int, seed: int
) -> Iterator[Trial]:
    """Damage `count` files, each kind in turn, and read each in a process that may die of it.

    Args:
        originals: sound files of each kind.
    Raises:
        ValueError: an original cannot be read.
    """
    kinds = {path: kind for kind in formats for path in originals[kind]}
    jobs = [Job(formats[kind], path) for path, kind in kinds.items()]
    for number, kind in enumerate(itertools.islice(itertools.cycle(formats), count)):
        path = originals[kind][number // len(formats) % len(originals[kind])]
        jobs.append(Job(formats[kind], path, (seed, number)))
    digests: dict[Path, str] = {}
    for job, found, death in run_isolated(read_limited, jobs, num_workers=1):
        outcome = found or Outcome(breach=death)
        kind = kinds[job.original]
        if job.seed:
            yield Trial(kind, job, _judge(outcome, digests[job.original], job.kind.is_sealed), outcome.breach)
        elif outcome.digest:
            digests[job.original] = outcome.digest
        else:
            raise ValueError(f"the undamaged {kind} is not read: {outcome.refusal or outcome.breach}")


def _judge(outcome: Outcome, original: str, is_sealed: bool) -> str:
    if outcome.refusal:
        return "refused"
    if outcome.digest == original:
        return "same"
    return "breach" if outcome.breach or is_sealed else "changed"


def main(args: argparse.Namespace) -> int:
    """Print every breach and one line per kind; return the exit status."""
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        originals = write_originals(Path(folder))
        trials = itertools.chain(
            fuzz(CHECKPOINTS, originals, args.checkpoints, args.seed), fuzz(INPUTS, originals, args.inputs, args.seed)
        )
        for trial in trials:
            counts[trial.kind, trial.result] += 1
            if trial.result == "breach":
                _report(trial, args.keep, counts.total())
    print(f"{'':12}" + "".join(f"{result:>9}" for result in RESULTS))
    for kind in (*CHECKPOINTS, *INPUTS):
        print(f"{kind:12}" + "".join(f"{counts[kind, result]:9}" for result in RESULTS))
    breaches = sum(count for (_, result), count in counts.items() if result == "breach")
    print(f"{counts.total()} damaged files, {breaches} breaches")
    return 1 if breaches else 0


def _report(trial: Trial, folder: Path | None, number: int) -> None:
    damage, content = trial.job.damaged()
    text = trial.breach or "read without complaint, and different from the original"
    print(f"BREACH: {trial.kind}, {damage}: {text}", flush=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:05d}_{trial.kind.replace(' ', '_')}").write_bytes(content)


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
