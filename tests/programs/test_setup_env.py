"""scripts/setup_env.sh: the interpreter it takes, and what it sets."""

import os
import subprocess

import pytest

from tests.conftest import REPO


def test_environment_needs_a_recent_interpreter_and_says_which_it_tried(tmp_path):
    (tmp_path / "requirements.txt").write_text("")
    command = f"source {REPO / 'scripts' / 'setup_env.sh'} requirements.txt"
    environment = {"PATH": os.environ["PATH"], "PYTHON": "/nowhere/python2"}
    done = subprocess.run(["bash", "-ec", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Python 3.11 or later is needed, tried: /nowhere/python2" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("own", "spin"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, "")],
)
def test_threads_wait_awake_for_a_bounded_time_unless_variables_of_the_user_say_more(tmp_path, own, spin):
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    for name in ("requirements.txt", ".venv/installed-requirements.txt"):
        (tmp_path / name).write_text("")
    command = f'source {REPO / "scripts" / "setup_env.sh"} requirements.txt; echo "spin ${{GOMP_SPINCOUNT:-}}"'
    environment = {"PATH": os.environ["PATH"], **own}
    done = subprocess.run(["bash", "-euc", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"spin {spin}\n", "")
