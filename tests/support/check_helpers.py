"""Running the validator in this process."""

from pathlib import Path

import pytest

from data.check_data import check_all, main, parse_args
from data.checking.check_report import Report


def check(root: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    """Exit status and printed text of one run in this process."""
    status = main(parse_args([str(root), "--workers", "1", *flags]))
    return status, capsys.readouterr().out


def report_on(root: Path, title: str) -> Report:
    """The one report whose title starts so."""
    (report,) = [report for report in check_all(root, workers=1) if report.title.startswith(title)]
    return report
