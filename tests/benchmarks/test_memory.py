import json
import os
import signal
import sys

import pytest

from benchmarks.harness.memory import run_alone


@pytest.fixture
def process(tmp_path, monkeypatch):
    """Return process(script): `run_alone` with a shell script in place of Python."""

    def run(script):
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        return run_alone("benchmarks.step", ["--k", 4])

    return run


def test_the_figures_are_those_of_the_last_line(process):
    usage = {"mib": 5.5, "seconds": 0.25}
    assert process(f"[ \"$*\" = '-m benchmarks.step --k 4' ] && echo noise && echo '{json.dumps(usage)}'") == usage


@pytest.mark.parametrize("end", ["exit 3", f"kill -{int(signal.SIGKILL)} $$"])
def test_a_process_that_fills_the_memory_has_no_figures(process, end):
    assert process(end) is None


def test_what_the_process_refuses_is_one_message(process):
    with pytest.raises(ValueError, match="^clouds have 3 points but k = 4$"):
        process("echo noise >&2; echo 'error: clouds have 3 points but k = 4' >&2; exit 2")


def test_any_other_end_shows_what_the_process_wrote(process):
    with pytest.raises(RuntimeError, match=r"benchmarks\.step --k 4 failed:\na traceback"):
        process(f"echo a traceback >&2; exit {os.EX_SOFTWARE}")
