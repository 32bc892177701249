import time
from multiprocessing import get_context

import pytest

from tests.support.several_processes import START_METHOD
from utils.run import log
from utils.run.epoch_metrics import read_metrics


def hold(folder, is_open):
    """Log into a folder until this process is killed."""
    held = log.RunLog(folder)
    is_open.set()
    time.sleep(600)
    held.close()


def test_a_folder_belongs_to_one_training_at_a_time(tmp_path, monkeypatch):
    processes = get_context(START_METHOD)
    is_open = processes.Event()
    other = processes.Process(target=hold, args=(tmp_path, is_open), daemon=True)
    other.start()
    assert is_open.wait(60)
    monkeypatch.setattr(log, "CLAIM_S", 1)
    with pytest.raises(ValueError, match=r"run\.log is in use by another training"):
        log.RunLog(tmp_path)
    other.kill()
    other.join()
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
