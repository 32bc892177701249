import json
import os
import subprocess
import sys

import pytest

from tests.conftest import REPO
from utils.figures.run_curves import draw_curves, try_draw_curves
from utils.run.epoch_metrics import read_metrics


def write_metrics(folder, *records):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def test_an_epoch_trained_again_after_an_interruption_counts_once(tmp_path):
    write_metrics(
        tmp_path, {"epoch": 0, "loss/imid": 1.0}, {"epoch": 1, "loss/imid": 9.0}, {"epoch": 1, "loss/imid": 2.0}
    )
    assert [record["loss/imid"] for record in read_metrics(tmp_path)] == [1.0, 2.0]


def test_curves_go_into_the_folder_of_the_run_and_leave_no_other_file(tmp_path):
    write_metrics(tmp_path, {"epoch": 0, "loss/imid": 1.0})
    assert draw_curves(tmp_path) == tmp_path / "loss_curve.png"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loss_curve.png", "metrics.jsonl"]


@pytest.mark.parametrize("fault", ["no metrics", "a folder in the way"])
def test_curves_that_cannot_be_drawn_are_a_warning_that_names_the_file(tmp_path, fault):
    if fault == "a folder in the way":
        write_metrics(tmp_path, {"epoch": 0, "loss/imid": 1.0})
        (tmp_path / "loss_curve.png").mkdir()
    said = []
    try_draw_curves(tmp_path, said.append)
    assert len(said) == 1
    assert said[0].startswith(f"warning: no {tmp_path / 'loss_curve.png'}: ")


def test_a_successful_picture_is_not_reported(tmp_path):
    write_metrics(tmp_path, {"epoch": 0, "loss/imid": 1.0})
    try_draw_curves(tmp_path, pytest.fail)


def test_training_imports_matplotlib_only_when_it_draws():
    program = "import sys, utils.training.loop, utils.run.epoch_metrics; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPO, env=os.environ).returncode == 0
