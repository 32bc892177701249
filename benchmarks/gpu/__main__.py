"""Check and measure on a GPU everything that needs one, in one run, into one JSON.

    bash benchmarks/gpu.sh                                     # on a CUDA device: benchmarks/gpu.json
    python -m benchmarks.gpu --device cpu --batches 4 --points 64 --k 8 --image_size 32 --image_depth 18 --steps 1

Each part runs in a process of its own, so that a part that fails, runs out of memory or takes too long is recorded as
such and the others still run. The JSON is written after every part.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.gpu.gpu_step import FORMS, OUT_OF_MEMORY
from utils.cli import run_main
from utils.files import write_text
from utils.flags import add_device_arg, require_at_least
from utils.processes.device import get_device
from utils.run.provenance import provenance


class Part(NamedTuple):
    """A program and its flags."""

    name: str
    module: str
    flags: list[str]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[20, 256], help="shapes of a pre-training step")
    parser.add_argument("--points", type=int, default=2048, help="of a cloud")
    parser.add_argument("--k", type=int, default=15, help="neighbours per point of the pre-training step")
    parser.add_argument("--image_size", type=int, default=224, help="pixels, square")
    parser.add_argument("--image_depth", type=int, default=50, help="of the ResNet: 18, 34 or 50")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each form")
    parser.add_argument("--minutes", type=float, default=9.5, help="wall time of all parts together")
    parser.add_argument(
        "--skip", nargs="*", default=[], metavar="PART", help="parts to leave out, by name or its start"
    )
    add_device_arg(parser)
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), help="write everything here")
    return parser.parse_args(argv)


def parts(args: argparse.Namespace, device: torch.device) -> Iterator[Part]:
    """Yield the parts, most important first; compiling comes last, because it takes a minute."""
    small = device.type == "cpu"
    yield Part("check", "benchmarks.gpu.gpu_check", ["--clouds", "2", "--points", "64", "--k", "8"] if small else [])
    flags = [f"--{name}={getattr(args, name)}" for name in ("points", "k", "image_size", "image_depth", "steps")]
    plain = [name for name, form in FORMS.items() if not form.compiled]
    compiled = [name for name, form in FORMS.items() if form.compiled]
    for form in plain:
        for batch in args.batches:
            yield Part(
                f"step {form} {batch}", "benchmarks.gpu.gpu_step", [f"--form={form}", f"--batch={batch}", *flags]
            )
    tiny = ["--clouds", "2", "--points", "96", "--channels", "3", "--k", "4", "--rounds", "1"]
    yield Part("kernels", "benchmarks.gpu.gpu_kernels", tiny if small else [])
    few = "--shapes 3 --points 24 --views 2 --pairs 8 --depth 18 --k 4 --rounds 1".split()
    yield Part("multiview step", "benchmarks.multiview_step", few if small else [])
    yield Part(
        "point towers", "benchmarks.point_towers", ["--quick", "--towers=pointnext"] if small else ["--rounds=3"]
    )
    yield Part(
        "scenes check",
        "benchmarks.gpu.gpu_scenes",
        "--voxels 300 --clouds 2 --points 128".split() if small else [],
    )
    yield Part("sparse conv", "benchmarks.sparse_conv", ["--quick", "--rounds=1"] if small else [])
    for form in compiled:
        for batch in args.batches:
            yield Part(
                f"step {form} {batch}", "benchmarks.gpu.gpu_step", [f"--form={form}", f"--batch={batch}", *flags]
            )


def run_part(part: Part, device: torch.device, limit_s: float) -> dict[str, object]:
    """Run a part; return its status, its wall time and what it wrote before it ended or was stopped."""
    if limit_s < 1:
        return {"status": "no time left"}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.json"
        command = [sys.executable, "-m", part.module, *part.flags, f"--device={device}", f"--json={path}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
            status = {0: "done", OUT_OF_MEMORY: "out of memory"}.get(done.returncode, f"exit status {done.returncode}")
            output = done.stdout[-2000:] + done.stderr[-2000:]
        except subprocess.TimeoutExpired:
            status, output = "out of time", ""
        found = json.loads(path.read_text()) if path.exists() else None
    record = {"status": status, "wall_s": round(time.perf_counter() - start, 1), "found": found}
    return record if status == "done" else record | {"output": output}


def describe(name: str, record: dict[str, object]) -> str:
    """Format one line for the terminal."""
    found = record.get("found")
    keys = ("shapes_per_s", "step_ms", "peak_mib", "points_ms", "images_ms")
    figures = [f"{key}={found[key]:.0f}" for key in keys if key in found] if isinstance(found, dict) else []
    return "  ".join([f"{name:24}", f"{record['status']:14}", f"{record.get('wall_s', 0):6.1f} s", *figures])


def main(args: argparse.Namespace) -> int:
    require_at_least(1, args, "points", "k", "image_size", "steps", "minutes")
    device = get_device(args.device)
    end = time.perf_counter() + 60 * args.minutes
    report = provenance() | {"device": str(device), "cuda": torch.version.cuda, "parts": {}}
    records: dict[str, dict] = report["parts"]
    for part in parts(args, device):
        if part.name.startswith(tuple(args.skip)):
            continue
        records[part.name] = run_part(part, device, end - time.perf_counter())
        write_text(args.json, json.dumps(report, indent=1) + "\n")
        print(describe(part.name, records[part.name]), flush=True)
        if records[part.name]["status"].startswith("exit"):
            print(records[part.name]["output"], flush=True)
    print(f"wrote {args.json}")
    return int(any(record["status"].startswith("exit") for record in records.values()))


if __name__ == "__main__":
    run_main(main, parse_args())
