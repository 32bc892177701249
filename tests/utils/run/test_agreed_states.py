"""Processes that find different states of one run, as on a folder that is not shared."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from models.distributed import get_rank
from tests.support.several_processes import run_in_processes
from utils.training.loop import Training


def refusal(steps):
    """What a process says that has read the state after steps[its number]; "" where all agree."""
    training = SimpleNamespace(progress=SimpleNamespace(epoch=0, step=steps[get_rank()]))
    try:
        Training._check_agreed(training, Path("last.pt"))
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("steps", "refused"), [((3, 3), False), ((3, 2), True)])
def test_different_states_are_refused_by_every_process(tmp_path, steps, refused):
    said = run_in_processes(refusal, 2, tmp_path, steps)
    expected = "the processes have read different states: last.pt (epoch 0, step 2), last.pt (epoch 0, step 3)"
    assert [expected in text for text in said] == [refused] * 2
    assert refused or said == ["", ""]
