"""Damage files at random and read them: each must be refused by name or give a well-formed result.

    python -m tests.stress.fuzz --seed 1 --checkpoints 200 --inputs 500

For every kind of file the program counts

    refused   a ValueError or OSError whose message names the file
    same      read, and bit for bit equal to the undamaged file: the damage hit bytes that hold nothing
    changed   read, well-formed and different; possible only for kinds without checksums over all their content
    breach    anything else: another exception, a message without the file's name, an ill-formed result, different
              tensors of a checkpoint, the death of the reading process, more than 20 s of processor time or more than
              1 GiB of memory for one file

The same seed gives the same damage. Exit status: 0 no breach, 1 breaches, 2 misuse.
"""

import argparse
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.stress.fuzz_formats import CHECKPOINTS, INPUTS, Format
from tests.stress.fuzz_originals import write_checkpoints, write_inputs
from tests.stress.fuzz_worker import Outcome, Reader
from utils.cli import run_main
from utils.flags import program_parser, require_at_least, seed_number

RESULTS = ("refused", "same", "changed", "breach")


class Trial(NamedTuple):
    """One damaged file, and its result: one of RESULTS."""

    kind: str
    damage: str
    result: str
    outcome: Outcome
    content: bytes


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
    reader: Reader, formats: Mapping[str, Format], originals: Mapping[str, Sequence[Path]], count: int, seed: int
) -> Iterator[Trial]:
    """Damage `count` files, each kind in turn, and let `reader` read each.

    Args:
        originals: sound files of each kind.
    Raises:
        ValueError: an original cannot be read.
    """
    digests: dict[Path, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(itertools.islice(itertools.cycle(formats), count)):
            files, where = originals[kind], formats[kind]
            original = files[number // len(formats) % len(files)]
            path = Path(folder, where.name)
            if original not in digests:
                path.write_bytes(original.read_bytes())
                digests[original] = _sound(reader.read(where, path), kind)
            damage, content = where.mutate(original.read_bytes(), np.random.default_rng((seed, number)))
            path.write_bytes(content)
            outcome = reader.read(where, path)
            result = _judge(where, outcome, digests[original])
            path.unlink()
            yield Trial(kind, damage, result, outcome, content)


def _sound(outcome: Outcome, kind: str) -> str:
    if not outcome.digest:
        raise ValueError(f"the undamaged {kind} is not read: {outcome.refusal or outcome.breach}")
    return outcome.digest


def _judge(kind: Format, outcome: Outcome, original: str) -> str:
    if outcome.breach:
        return "breach"
    if outcome.refusal:
        return "refused"
    if outcome.digest == original:
        return "same"
    return "breach" if kind.is_sealed else "changed"


def main(args: argparse.Namespace) -> int:
    """Print every breach and one line per kind; return the exit status."""
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder, Reader() as reader:
        trials = itertools.chain(
            fuzz(reader, CHECKPOINTS, write_checkpoints(Path(folder)), args.checkpoints, args.seed),
            fuzz(reader, INPUTS, write_inputs(Path(folder)), args.inputs, args.seed),
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
    text = trial.outcome.breach or "read without complaint, and different from the original"
    print(f"BREACH: {trial.kind}, {trial.damage}: {text}", flush=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:05d}_{trial.kind.replace(' ', '_')}").write_bytes(trial.content)


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
