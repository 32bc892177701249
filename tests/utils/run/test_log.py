"""The log of a run."""

import pytest

from utils.run import log
from utils.run.epoch_metrics import read_metrics


def test_a_folder_belongs_to_one_training_at_a_time(tmp_path, monkeypatch):
    """The lock is the open file's, which the kernel closes when a process dies."""
    monkeypatch.setattr(log, "CLAIM_S", 1)
    other = log.RunLog(tmp_path)
    with pytest.raises(ValueError, match=r"run\.log is in use by another training"):
        log.RunLog(tmp_path)
    other.close()
    log.RunLog(tmp_path).close()


def test_a_log_can_be_opened_again(tmp_path):
    for text in ("one", "two"):
        reports = log.RunLog(tmp_path)
        reports.line(text)
        reports.close()
    assert [line.split()[-1] for line in (tmp_path / "run.log").read_text().splitlines()] == ["one", "two"]


@pytest.mark.parametrize("whole", ["", '{"epoch": 0, "loss/total": 1.0}\n'])
def test_a_line_cut_short_does_not_spoil_the_next(tmp_path, whole):
    (tmp_path / "metrics.jsonl").write_text(whole + '{"epoch": 1, "lo')
    reports = log.RunLog(tmp_path)
    reports.metrics({"epoch": 1, "loss/total": 0.5})
    reports.close()
    assert [record["epoch"] for record in read_metrics(tmp_path)] == [0, 1][1 - bool(whole) :]
