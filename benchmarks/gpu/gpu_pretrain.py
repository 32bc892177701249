"""Pre-train on a GPU for minutes, on data made there, and bring weights, log and scores back.

    bash benchmarks/gpu.sh --pretrain                                   # into $OUT/pretrain
    python -m benchmarks.gpu.gpu_pretrain --recipe="--crop_min 0.4" --out checkpoints/gpu --labelled data/infomr69

The built-in shapes and generated ones become one packed file. A few epochs say how long one takes when all is warm;
then as many are trained as fill the time, with the rate falling to 0 over them. Last, random and trained weights are
scored on the built-in scans, and on --labelled. --out becomes a run's folder without its states, which scripts.ship and
the evaluation programs take. Nothing of this has run on a GPU yet.
"""

import argparse
import json
import os
import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.screening.screen_runs import run_program
from utils.cli import run_main
from utils.files import write_text
from utils.flags import add_device_arg, program_parser, require_at_least, seed_number
from utils.processes.device import get_device
from utils.run.epoch_metrics import read_metrics
from utils.run.names import CONFIG_FILE, EMA_WEIGHTS, LAST_WEIGHTS, LOG_FILE, METRICS_FILE, MODELS_FOLDER
from utils.run.provenance import provenance

RECORD = "gpu_pretrain.json"
PROBE_EPOCHS = 3  # of which the last is timed: the first ones compile, choose kernels and fill caches
SCORING_S = 45  # of --minutes, kept for the scores
_KEPT = (CONFIG_FILE, METRICS_FILE, LOG_FILE, f"{MODELS_FOLDER}/{LAST_WEIGHTS}", f"{MODELS_FOLDER}/{EMA_WEIGHTS}")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument(
        "--recipe", default="", help="flags of train_crosspoint.py, in one word: --recipe='--a 1 --b 2'"
    )
    parser.add_argument("--more", default="", help="further flags, which win over the recipe's and over those below")
    parser.add_argument("--model", default="dgcnn", help="point encoder")
    parser.add_argument("--k", type=int, default=15, help="neighbours per point")
    parser.add_argument("--points", type=int, default=1024, help="of a cloud")
    parser.add_argument("--batch", type=int, default=256, help="shapes of a step")
    parser.add_argument("--seed", type=seed_number, default=1)
    parser.add_argument("--shapes_per_class", type=int, default=80, help="built-in shapes of each of the 16 categories")
    parser.add_argument("--programs", type=int, default=4000, help="generated shapes; 0: none")
    parser.add_argument("--labelled", type=Path, help="also score on this set in ModelNet40's layout, normalised")
    parser.add_argument("--minutes", type=float, default=7, help="wall time of everything")
    parser.add_argument("--train_minutes", type=float, default=6, help="of the training, or what --minutes leave")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that make and load data")
    parser.add_argument("--out", type=Path, required=True, help="folder for what comes back, new or empty")
    add_device_arg(parser)
    return parser.parse_args(argv)


def make_data(args: argparse.Namespace, work: Path) -> Path:
    """Make, merge and pack the shapes; return the root of all, which holds the packed file."""
    shapes, programs, merged = work / "shapes", work / "programs", work / "all"
    workers = ["--workers", str(args.workers)]
    run_program("data.make_shapes", ["--out", str(shapes), "--shapes_per_class", str(args.shapes_per_class), *workers])
    roots = [str(shapes)]
    if args.programs:
        count = ["--count", str(args.programs), "--views", "6", "--size", "96"]
        run_program("data.make_programs", ["--out", str(programs), *count])
        roots.append(str(programs))
    run_program("data.merge", [*roots, "--out", str(merged)])
    run_program("data.pack", [str(merged), *workers])
    return merged


def train(args: argparse.Namespace, data: Path, run: Path, epochs: int) -> list[dict[str, float]]:
    """Train for some epochs; return what the run says of each."""
    flags = [*("--data_root", str(data), "--packed", str(data / "shapenet_render.h5"), "--model", args.model)]
    flags += ["--k", str(args.k), "--seed", str(args.seed), "--num_workers", str(max(1, args.workers - 2))]
    flags += [*("--eval_freq", "0", "--device", args.device, *shlex.split(args.recipe))]
    flags += ["--num_points", str(args.points), "--batch_size", str(args.batch), *shlex.split(args.more)]
    place = ["--epochs", str(epochs), "--exp_name", run.name, "--output_dir", str(run.parent)]
    run_program("train_crosspoint", [*flags, *place])
    return read_metrics(run)


def keep(run: Path, out: Path) -> None:
    """Copy what a run has left of its records and weights, also where it failed."""
    for name in _KEPT:
        if (run / name).is_file():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / name, out / name)


def score(args: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Score random and kept weights on the built-in scans and on --labelled; return the records of all."""
    sets = [["--dataset", "scanobjectnn", "--data_root", str(work / "shapes")]]
    if args.labelled:
        sets.append(["--dataset", "modelnet40", "--data_root", str(args.labelled), "--normalize"])
    kept = [args.out / MODELS_FOLDER / name for name in (LAST_WEIGHTS, EMA_WEIGHTS)]
    encoders = [["--random_init", "--model", args.model, "--k", str(args.k)]]
    encoders += [["--model_path", str(path)] for path in kept if path.is_file()]
    records, report = [], work / "report.json"
    for labelled in sets:
        for encoder in encoders:
            common = ["--protocol", "all", "--seed", str(args.seed), "--feature_cache", "off", "--device", args.device]
            run_program("scripts.eval_svm", [*encoder, *labelled, *common, "--json", str(report)])
            records += json.loads(report.read_text(encoding="utf-8"))["results"]
    return records


def main(args: argparse.Namespace) -> None:
    """Make data, measure an epoch, train, keep the run, score; the record is written after each part."""
    require_at_least(1, args, "k", "points", "batch", "shapes_per_class", "workers")
    device = get_device(args.device)
    if args.out.exists() and any(args.out.iterdir()):
        raise ValueError(f"--out {args.out} is not empty: name a new folder")
    start, record = time.perf_counter(), provenance() | {"device": str(device), "seconds": {}}

    def note(part: str, **found: object) -> None:
        seconds = record["seconds"]
        seconds[part] = round(time.perf_counter() - start - sum(seconds.values()), 1)
        record.update(found)
        write_text(args.out / RECORD, json.dumps(record, indent=1) + "\n")
        print(f"== {part}: {seconds[part]:.1f} s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        work, run = Path(folder), Path(folder) / "runs" / "gpu"
        data = make_data(args, work)
        note("data")
        hours = [line["hours"] for line in train(args, data, run.with_name("probe"), PROBE_EPOCHS)]
        epoch_s = 3600 * (hours[-1] - hours[-2])
        note("probe", seconds_per_epoch=epoch_s)
        left = 60 * args.minutes - SCORING_S - (time.perf_counter() - start)
        epochs = max(1, int(min(60 * args.train_minutes, left) / epoch_s))
        try:
            last = train(args, data, run, epochs)[-1]
        finally:
            keep(run, args.out)
        note("training", epochs=epochs, last_epoch=last)
        note("scores", results=score(args, work))
    print(f"wrote {args.out}")


if __name__ == "__main__":
    run_main(main, parse_args())
