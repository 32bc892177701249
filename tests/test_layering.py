"""Which folder may import which: datasets and models stand alone, utils joins them, programs are on top."""

import ast
import importlib
from pathlib import Path

import pytest

from tests.conftest import REPO

LAYERS = ("datasets", "models", "utils", "data", "scripts", "benchmarks")
ENTRY_PROGRAMS = (*(path.stem for path in sorted(REPO.glob("*.py"))), "benchmarks", "tests")
FORBIDDEN = {
    "datasets": {"models", "utils", "data", "scripts", *ENTRY_PROGRAMS},
    "models": {"datasets", "utils", "data", "scripts", "argparse", *ENTRY_PROGRAMS},
    "utils": {"data", "scripts", *ENTRY_PROGRAMS},
    "data": {"scripts", *ENTRY_PROGRAMS},
    "scripts": {"data", "scripts", *ENTRY_PROGRAMS},
    "benchmarks": {"data", "scripts", *ENTRY_PROGRAMS} - {"benchmarks"},
}


def imported_modules(source: str) -> set[str]:
    """Dotted names of everything a file imports, at any depth."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports in full, not relative"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def upward_arrows(source: str, forbidden: set[str]) -> list[str]:
    return sorted(name for name in imported_modules(source) if name.split(".")[0] in forbidden)


def files_of(folder: str) -> list[Path]:
    return sorted((REPO / folder).rglob("*.py"))


@pytest.mark.parametrize("layer", LAYERS)
def test_no_file_imports_a_higher_layer(layer):
    arrows = {str(p.relative_to(REPO)): upward_arrows(p.read_text(), FORBIDDEN[layer]) for p in files_of(layer)}
    assert {path: names for path, names in arrows.items() if names} == {}
    assert arrows, f"no file in {layer}: has the folder moved?"


def test_an_entry_program_imports_no_other_program():
    for path in sorted(REPO.glob("*.py")):
        assert upward_arrows(path.read_text(), {"data", "scripts", *ENTRY_PROGRAMS}) == [], path.name


@pytest.mark.parametrize(
    "source",
    [
        "import utils.run.folder",
        "from utils import run",
        "def f():\n    from utils.run.folder import start",
        "import numpy, utils",
    ],
)
def test_an_upward_arrow_is_found_however_it_is_written(source):
    assert upward_arrows(source, {"utils"}) != []


@pytest.mark.parametrize("source", ["import utils_of_others", "from numpy import utils", "# import utils"])
def test_what_only_looks_like_an_upward_arrow_is_none(source):
    assert upward_arrows(source, {"utils"}) == []


@pytest.mark.parametrize("layer", LAYERS)
def test_a_folder_of_ours_is_not_shadowed_by_an_installed_package(layer):
    assert Path(importlib.import_module(layer).__file__).parent == REPO / layer
