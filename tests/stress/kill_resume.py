"""Kill a training over and over and resume it: it must end bit for bit like one that was never interrupted.

    python -m tests.stress.kill_resume --kills 30 --seed 1

Runs train_crosspoint.py with tiny settings on a CPU, once without interruption, then with --save_every_steps: all its
processes are killed by SIGKILL at random moments, while they start, train and save, and launched again with --resume.
Some launches are stopped by SIGUSR1 or SIGTERM instead, which must cost no step; after some kills the newest state is
truncated or has bytes flipped, and the previous one must take over. Exit status 1: too many steps were lost, a number
differs, or an unfinished file was left. Runs on Linux.
"""

import argparse
import random
import statistics
import tempfile
import time
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import torch

from benchmarks.harness.records import Figure, Recorder, add_output_args, setting_text
from data import make_shapes
from tests.stress.kill_compare import differences, num_tensors
from tests.stress.kill_launch import Launch
from tests.stress.kill_trial import DAMAGES, SAVE, START, STEP, STOPS, Interruption, Trial, train_uninterrupted
from utils import markdown
from utils.cli import run_main
from utils.flags import program_parser, require_at_least, seed_number

SETTINGS = (
    "--model pointnet --batch_size 4 --num_points 128 --image_depth 18 --image_size 32 --print_freq 1 --save_freq 5 "
    "--device cpu --eval_num_points 128"
).split()


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--kills", type=int, default=30, help="by SIGKILL")
    parser.add_argument("--stops", type=int, default=2, help="by SIGUSR1 and SIGTERM in turn")
    parser.add_argument("--damages", type=int, default=2, help="kills after which the newest state is damaged")
    parser.add_argument("--processes", type=int, default=1, help="more than one are started by torchrun")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--save_every_steps", type=int, default=6)
    parser.add_argument("--num_workers", type=int, default=1, help="loader processes")
    parser.add_argument("--seed", type=seed_number, default=1, help="of the moments of the interruptions")
    parser.add_argument("--data_root", type=Path, help="pre-training data (default: 64 built-in shapes, made anew)")
    parser.add_argument("--work", type=Path, help="folder that keeps both runs (default: a temporary one)")
    add_output_args(parser)
    return parser.parse_args(argv)


def plan(args: argparse.Namespace, rng: random.Random) -> list[str]:
    """Draw how each launch is interrupted; two fifths of the kills hit a save, one fifth the start of the process."""
    kinds = {SAVE: 2 * args.kills // 5, START: args.kills // 5}
    kills = [STEP] * (args.kills - sum(kinds.values())) + [how for how, count in kinds.items() for _ in range(count)]
    first = [kills.pop(0)] if kills else []  # before the first state
    others = kills + [*islice(cycle(STOPS), args.stops), *islice(cycle(DAMAGES), args.damages)]
    rng.shuffle(others)
    return first + others


def make_data(folder: Path) -> Path:
    """Make a small tree of built-in shapes: 64 for pre-training, 32 clouds for the held-out score."""
    counts = ["--shapes_per_class", "4", "--train_per_class", "2", "--val_per_class", "1", "--test_per_class", "1"]
    make_shapes.main(make_shapes.parse_args(["--out", str(folder), "--views", "2", "--size", "48", *counts]))
    return folder


def table(interruptions: list[Interruption]) -> str:
    """Format one row per interruption."""
    header = ["", "interruption", "after (s)", "during a save", "step", "resumed at", "from", "lost"]
    rows = []
    for number, one in enumerate(interruptions, start=1):
        saving = "yes" if one.is_saving else ""
        cells = (number, one.how, f"{one.seconds:.1f}", saving, one.step, *one.began, one.lost)
        rows.append(["-" if cell is None else str(cell) for cell in cells])
    return markdown.table(header, rows)


def breaches(trial: Trial, expected_dir: Path) -> list[str]:
    """List everything that went wrong, one line each."""
    faults = [f"interruption {n}: {fault}" for n, one in enumerate(trial.interruptions, 1) for fault in one.faults]
    left = [str(path.relative_to(trial.run_dir)) for path in trial.run_dir.rglob(".*")]
    return faults + [f"unfinished file left: {name}" for name in left] + differences(expected_dir, trial.run_dir)


def figures(trial: Trial, args: argparse.Namespace) -> list[Figure]:
    """Summarise the kills as figures for --record."""
    setting = setting_text(processes=args.processes, every=args.save_every_steps, steps=trial.expected.num_steps)
    kills = [one for one in trial.interruptions if one.how not in STOPS + DAMAGES]
    lost = [one.lost for one in kills if one.lost is not None]
    return [
        Figure(setting, "ours", "kills", len(kills), "kills"),
        Figure(setting, "ours", "kills during a save", sum(one.is_saving for one in kills), "kills"),
        Figure(setting, "ours", "steps lost by a kill, most", max(lost), "steps"),
        Figure(setting, "ours", "steps lost by a kill, mean", statistics.mean(lost), "steps"),
    ]


def run_both(
    args: argparse.Namespace, hows: list[str], work: Path, data_root: Path, rng: random.Random
) -> tuple[Trial, list[str]]:
    """Run the training without and with interruptions; return the latter and everything that went wrong."""
    flags = [*SETTINGS, "--epochs", str(args.epochs), "--num_workers", str(args.num_workers)]
    flags += ["--data_root", str(data_root.resolve())]
    launch = partial(Launch, processes=args.processes, output=work / "output.txt")
    expected = train_uninterrupted(launch(flags, work / "uninterrupted"))
    print(
        f"uninterrupted: {expected.num_steps} steps in {expected.seconds:.0f} s, {expected.start_seconds:.1f} s up to "
        f"the first, {expected.save_seconds:.2f} s for a state",
        flush=True,
    )
    flags += ["--save_every_steps", str(args.save_every_steps)]
    run_dir = work / "interrupted"
    trial = Trial(partial(launch, flags, run_dir), run_dir, args.save_every_steps, expected, rng)
    for number, how in enumerate(hows, start=1):
        one = trial.interrupt(how, len(hows) - number)
        print(f"{number}/{len(hows)} {how} after {one.seconds:.1f} s, step {one.step}", flush=True)
    trial.finish()
    return trial, breaches(trial, work / "uninterrupted")


def main(args: argparse.Namespace) -> int:
    require_at_least(1, args, "kills", "processes", "epochs")
    require_at_least(2, args, "save_every_steps")
    require_at_least(0, args, "stops", "damages", "num_workers")
    recorder = Recorder(args, "kill_resume", torch.device("cpu"))
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        if any((work / name).exists() for name in ("uninterrupted", "interrupted")):
            raise ValueError(f"--work {work} holds runs already; name a new folder")
        rng = random.Random(args.seed)
        data_root = args.data_root or make_data(work / "shapes")
        trial, faults = run_both(args, plan(args, rng), work.resolve(), data_root, rng)
        print(f"\n{table(trial.interruptions)}\n")
        recorder.add(figures(trial, args))
        compared = num_tensors(work / "interrupted")
    verdict = "\n".join(f"BREACH {fault}" for fault in faults) or f"sound: {compared} tensors are equal bit for bit"
    print(f"{verdict}; {time.monotonic() - start:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
