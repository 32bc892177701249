"""The validator's report on one data set, and its text."""

import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from data.checking.cloud_stats import CloudStats

WIDTH = 120
GLUE = "\N{NO-BREAK SPACE}"  # a space within facts at which lines do not break


@dataclass
class Report:
    """Findings on one data set.

    Attributes:
        title: name of the set.
        folder: its location.
        facts: findings, one line each.
        notes: oddities that no reader rejects.
        faults: files or rows that a reader rejects, each with its path.
        remedy: command or advice that repairs the faults.
        use: command that uses the set.
        stats: measurements of its sound clouds, None if there are none.
    """

    title: str
    folder: Path
    remedy: str
    use: str
    facts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    stats: CloudStats | None = None


def render(report: Report, max_listed: int | None = None) -> str:
    """Format the report; `max_listed` limits the entries of each list, None lists all."""
    lines = [f"{report.title} in {report.folder}"]
    for fact in report.facts:
        wrapped = textwrap.wrap(fact, WIDTH, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
        lines += [line.replace(GLUE, " ") for line in wrapped]
    lines += _listed("note", report.notes, max_listed)
    lines += _listed("FAULT", report.faults, max_listed)
    return "\n".join(lines)


def _listed(kind: str, entries: list[str], max_listed: int | None) -> list[str]:
    lines = [f"  {kind}: {entry}" for entry in entries[:max_listed]]
    if len(entries) > len(lines):
        lines.append(f"  {kind}: and {len(entries) - len(lines)} more; list them with --max_listed {len(entries)}")
    return lines
