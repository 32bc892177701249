"""Runs of the validator in this process."""

from pathlib import Path

import pytest

from data.check_data import check_all, main, parse_args
from data.checking.check_report import Report


def check(root: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    """Run the validator; return exit status and printed text."""
    status = main(parse_args([str(root), "--workers", "1", *flags]))
    return status, capsys.readouterr().out


def report_on(root: Path, title: str) -> Report:
    """Return the only report whose title starts with `title`."""
    (report,) = [report for report in check_all(root, workers=1)[0] if report.title.startswith(title)]
    return report
