"""Checks of the files that flags ask for, before the work that fills them: what is there already may be precious."""

import json
from collections.abc import Iterable
from pathlib import Path

_OF_REPORTS = ("results", "figures")  # what a report of scores, and one of a benchmark, keeps its figures under


def check_report_path(path: str | Path | None) -> None:
    """Create the folder of a report, where one is asked for.

    Raises:
        ValueError: `path` is a folder, or a file that is no report. OSError: its folder cannot be made.
    """
    if not path:
        return
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"--json {path} is a folder; name a file in it, such as {path / 'results.json'}")
    if path.is_file() and not _is_report(path):
        raise ValueError(f"--json {path} would replace a file that is no report; name another, or delete it")
    path.parent.mkdir(parents=True, exist_ok=True)


def _is_report(path: Path) -> bool:
    with path.open("rb") as stream:
        first = stream.read(1)
    if first != b"{":  # of weights, which may be too large to be read for this; or of nothing, as mktemp makes one
        return not first
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # no text, or no JSON
        return False
    return isinstance(report, dict) and any(name in report for name in _OF_REPORTS)


def check_output_folder(flag: str, folder: Path) -> None:
    """Refuse a folder for output that cannot be one.

    Args:
        flag: that names it.
    Raises:
        ValueError: it is a file, or lies below one.
    """
    found = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if found is not None and not found.is_dir():
        raise ValueError(f"{flag} {folder}: {found} is a file, a folder is expected; pass another {flag}")


def check_png_path(path: Path | None) -> None:
    """Refuse a name under which no picture can be written.

    Raises:
        ValueError: `path` is a folder, or does not end in .png.
    """
    if path is None:
        return
    if path.is_dir():
        raise ValueError(f"--out {path} is a folder; name a file in it, such as {path / 'picture.png'}")
    if path.suffix.lower() != ".png":
        raise ValueError(f"--out {path}: pictures are written as PNG only; name it {path.with_suffix('.png').name}")


def refuse_inputs(out: Path | None, inputs: Iterable[str | Path]) -> None:
    """Refuse to write over one of the input files. A link to one would be replaced, not what it leads to.

    Raises:
        ValueError: names it.
    """
    if out is None or not out.exists():
        return
    for path in map(Path, inputs):
        if path.name == out.name and path.exists() and out.samefile(path):
            raise ValueError(f"--out {out} is an input itself; name another file")
