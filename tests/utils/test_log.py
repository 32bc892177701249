"""Metrics of a run that is continued."""

import pytest

from utils.log import RunLog
from utils.run_metrics import read_metrics


@pytest.mark.parametrize("whole", ["", '{"epoch": 0, "loss/total": 1.0}\n'])
def test_a_line_cut_short_does_not_spoil_the_next(tmp_path, whole):
    (tmp_path / "metrics.jsonl").write_text(whole + '{"epoch": 1, "lo')
    log = RunLog(tmp_path)
    log.metrics({"epoch": 1, "loss/total": 0.5})
    log.close()
    assert [record["epoch"] for record in read_metrics(tmp_path)] == [0, 1][1 - bool(whole) :]
