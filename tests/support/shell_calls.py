"""Run the shell scripts with a `python` that only records its arguments: every command line must parse."""

import importlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import REPO

NOTE_DOWN = r"""#!/usr/bin/env bash
printf "%s\0" "$@" >>"$COMMANDS"
echo >>"$COMMANDS"
{then}
"""


def make_checkout(folder: Path) -> Path:
    """Make a folder with the shell scripts and a `python` that only records its arguments."""
    shutil.copytree(REPO / "scripts", folder / "scripts", ignore=lambda _, names: {"__pycache__"} & set(names))
    (folder / "scripts" / "setup_env.sh").write_text("")
    fake_python(folder, then="mkdir -p checkpoints/quickstart checkpoints/quickstart_seed2")
    return folder


def fake_python(checkout, then=""):
    folder = checkout / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "python").write_text(NOTE_DOWN.format(then=then))
    (folder / "python").chmod(0o755)


def run_script(checkout, name, *arguments, **variables):
    """Return the finished process and the argument lists `python` was called with."""
    commands = checkout / "commands"
    commands.write_text("")
    environment = {"PATH": f"{checkout / 'bin'}:{os.environ['PATH']}", "COMMANDS": str(commands), **variables}
    script = str(checkout / "scripts" / name)
    done = subprocess.run(["bash", script, *arguments], env=environment, capture_output=True, text=True, timeout=30)
    return done, [call.split("\0")[:-1] for call in commands.read_text().splitlines()]


def parse(call):
    """Return the program and its parsed flags; argparse exits at an unknown one."""
    module, argv = (call[1], call[2:]) if call[0] == "-m" else (call[0].removesuffix(".py"), call[1:])
    return module, importlib.import_module(module).parse_args(argv)


def asked(checkout, name, *arguments, **variables):
    """Return the programs and parsed flags of all that a script calls."""
    done, calls = run_script(checkout, name, *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return [parse(call) for call in calls]


def touch(folder, *names, age=0):
    """Write empty files, which are `age` seconds older than those of age 0."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
        os.utime(folder / name, (1e9 - age, 1e9 - age))
