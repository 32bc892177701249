"""Markdown tables, and sections of a file that programs keep up to date."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from utils.files import write_text


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table, one line for each row of cells."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---"] * len(header), *rows])


def markers(name: str) -> tuple[str, str]:
    """Return the lines before and after section `name`."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def replace_section(text: str, name: str, section: str) -> str:
    """Replace what stands between the markers of `name` in `text`.

    Raises:
        ValueError: there is not exactly one pair of markers.
    """
    begin, end = markers(name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"expected one line {begin} and below it one line {end}")
    return text[: text.index(begin) + len(begin)] + f"\n{section}\n" + text[text.index(end) :]


def update_section(path: Path, name: str, section: str) -> None:
    """Apply `replace_section` to a file.

    Raises:
        ValueError: there is not exactly one pair of markers; names the file.
    """
    try:
        text = replace_section(path.read_text(encoding="utf-8"), name, section)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    write_text(path, text)
