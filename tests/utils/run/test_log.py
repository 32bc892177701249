import subprocess
import sys

import pytest

from utils.run import log
from utils.run.epoch_metrics import read_metrics

HOLD = "import sys, pathlib; from utils.run import log; it = log.RunLog(pathlib.Path(sys.argv[1])); print(1); input()"


def test_a_folder_belongs_to_one_training_at_a_time(tmp_path, monkeypatch):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"1\n"
        monkeypatch.setattr(log, "CLAIM_S", 1)
        with pytest.raises(ValueError, match=r"run\.log is in use by another training"):
            log.RunLog(tmp_path)
        other.kill()
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
