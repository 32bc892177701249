"""Ranks that read different states of one run, as from a folder that they do not share."""

from pathlib import Path
from types import SimpleNamespace

from models.distributed import get_rank
from tests.support.several_processes import run_in_processes
from utils.training.loop import Training


def refusals(*readings):
    """What a rank says after each reading, steps by rank; "" where all agree."""
    said = []
    for steps in readings:
        training = SimpleNamespace(progress=SimpleNamespace(epoch=0, step=steps[get_rank()]))
        try:
            Training._check_agreed(training, Path("last.pt"))
            said.append("")
        except ValueError as error:
            said.append(str(error))
    return said


def test_different_states_are_refused_by_every_process(tmp_path):
    expected = "the processes have read different states: last.pt (epoch 0, step 2), last.pt (epoch 0, step 3)"
    for same, different in run_in_processes(refusals, 2, tmp_path, (3, 3), (3, 2)):
        assert same == ""
        assert expected in different
