"""Provenance: the commit, versions and machine that produced a file, and digests of files."""

import functools
import hashlib
import os
import platform
import subprocess
from pathlib import Path

import torch

REPO = Path(__file__).resolve().parents[2]
# Written by measuring programs: one record must not mark the next as made by changed code.
_RECORDS = (":(exclude)benchmarks/*.csv", ":(exclude)README.md", ":(exclude)docs")


def file_sha256(path: Path) -> str:
    """Return the hexadecimal digest of a file, by which results name their checkpoint."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_origin(checkpoint: str | Path | None, seed: int) -> dict[str, str | int | None]:
    """Return what records say of an encoder's weights: the file they are from, or the seed of random ones."""
    if not checkpoint:
        return {"weights": "random", "checkpoint": None, "checkpoint_sha256": None, "encoder_seed": seed}
    digest = file_sha256(Path(checkpoint)) if Path(checkpoint).is_file() else None  # a resumed run may have lost it
    return {"weights": "checkpoint", "checkpoint": str(checkpoint), "checkpoint_sha256": digest, "encoder_seed": None}


def provenance() -> dict[str, str]:
    """Return git commit (with "+" when the tree has changes), versions and machine."""
    return {
        "commit": _own_commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a str subclass of torch's own is refused by weights_only loading
        "machine": torch.cuda.get_device_name() if torch.cuda.is_available() else processor_name(),
    }


@functools.cache
def _own_commit() -> str:
    """Return the commit at the first call: a process runs the code that it imported then."""
    return git_commit()


def processor_name() -> str:
    """Return the processor's name (its architecture where that is unknown) and the cores this process may use."""
    name = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = [line.partition(":") for line in cpuinfo.read_text().splitlines()]
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def git_commit(repo: Path = REPO) -> str:
    """Return a checkout's short commit, with "+" when tracked code differs from it; "unknown" outside git."""
    try:
        commit = _git(repo, "rev-parse", "--short", "HEAD")
        changed = _git(repo, "diff", "HEAD", "--name-only", "--", ".", *_RECORDS)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")


def _git(repo: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=repo, capture_output=True, text=True, check=True).stdout.strip()
