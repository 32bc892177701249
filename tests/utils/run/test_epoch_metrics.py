import importlib
import sys

import pytest

from tests.support.run_folders import write_metrics
from tests.support.several_processes import run_in_own_process
from utils.figures.run_curves import draw_curves, try_draw_curves
from utils.run.epoch_metrics import read_metrics


def test_an_epoch_trained_again_after_an_interruption_counts_once(tmp_path):
    write_metrics(tmp_path, *({"epoch": epoch, "loss/imid": loss} for epoch, loss in ((0, 1.0), (1, 9.0), (1, 2.0))))
    assert [record["loss/imid"] for record in read_metrics(tmp_path)] == [1.0, 2.0]


def test_curves_go_into_the_folder_of_the_run_and_leave_no_other_file_nor_a_line(tmp_path):
    write_metrics(tmp_path, {"epoch": 0, "loss/imid": 1.0})
    assert draw_curves(tmp_path) == tmp_path / "loss_curve.png"
    try_draw_curves(tmp_path, pytest.fail)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loss_curve.png", "metrics.jsonl"]


@pytest.mark.parametrize("fault", ["no metrics", "a folder in the way"])
def test_curves_that_cannot_be_drawn_are_a_warning_that_names_the_file(tmp_path, fault):
    if fault == "a folder in the way":
        write_metrics(tmp_path, {"epoch": 0, "loss/imid": 1.0})
        (tmp_path / "loss_curve.png").mkdir()
    said = []
    try_draw_curves(tmp_path, said.append)
    (line,) = said
    assert line.startswith(f"warning: no {tmp_path / 'loss_curve.png'}: ")


def needs_matplotlib(*names):
    """Import modules of ours anew; return whether that imports matplotlib."""
    for name in list(sys.modules):
        if name.split(".")[0] in ("datasets", "matplotlib", "models", "utils"):
            del sys.modules[name]
    for name in names:
        importlib.import_module(name)
    return "matplotlib" in sys.modules


def test_training_imports_matplotlib_only_when_it_draws():
    assert not run_in_own_process(needs_matplotlib, "utils.training.loop", "utils.run.epoch_metrics")
    assert run_in_own_process(needs_matplotlib, "utils.figures.curve_plots")
