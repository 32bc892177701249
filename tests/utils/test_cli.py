"""How programs end on a caller's mistake and on Ctrl-C."""

import pytest

from utils.cli import run_main
from utils.run.folder import RunSettings, open_run
from utils.run.names import STATE_FILE
from utils.settings import Record


def ended(capsys, program, *args, **options):
    """Return exit status and what was written on stderr."""
    with pytest.raises(SystemExit) as stop:
        run_main(program, *args, **options)
    return stop.value.code, capsys.readouterr().err


def interrupt(*words):
    raise KeyboardInterrupt(*words)


def test_ctrl_c_ends_a_program_with_one_line_and_the_status_of_shells(capsys, monkeypatch):
    assert ended(capsys, interrupt) == (130, "interrupted\n")
    goes_on = "the same command goes on from here"
    assert ended(capsys, interrupt, goes_on=goes_on) == (130, f"interrupted; {goes_on}\n")
    monkeypatch.setenv("RANK", "1")  # all processes of a training get it, the main one says it
    assert ended(capsys, interrupt) == (130, "")


@pytest.mark.parametrize("has_state", [True, False])
def test_ctrl_c_in_a_training_that_has_a_state_names_the_flag_that_goes_on(tmp_path, capsys, has_state):
    settings = RunSettings(exp_name="run", output_dir=str(tmp_path))

    def train():
        with open_run(settings, Record({}, frozenset())) as run:
            if has_state:
                (run.folder / STATE_FILE).write_bytes(b"")
            interrupt()

    words = f"interrupted; --resume continues {settings.folder}\n" if has_state else "interrupted\n"
    assert ended(capsys, train) == (130, words)
