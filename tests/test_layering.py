"""The floors of the tree: which file may import which, what a room holds, and where flags are known.

A file imports only files of its own room, if it has one here, and of rooms on lower floors.
"""

import ast
import importlib
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import REPO

LAYERS = ("datasets", "models", "utils", "data", "scripts", "benchmarks")
# From the lowest floor up; rooms of one floor do not know each other. "utils" are the files directly in that folder.
FLOORS = (
    ("datasets", "models", "models.rows", "models.distributed"),
    ("models.affine",),
    ("models.weights.shipped",),
    ("models.kernels", "models.weights.safe_file"),
    ("models.layers", "models.weights.weight_file"),
    ("models.detection", "models.sparse"),
    ("models.encoders", "models.losses"),
    ("models.weights",),
    ("models.text",),
    ("models.methods",),
    ("utils",),
    ("utils.processes",),
    ("utils.cli",),
    ("utils.run",),
    ("utils.figures",),
    ("utils.training",),
    ("utils.evaluation",),
    ("utils.inference",),
    ("utils.pretrained",),
    ("utils.pretraining", "utils.classification", "utils.parts", "utils.retrieval", "utils.semseg", "utils.detection"),
    ("utils.multiview", "utils.texts"),
    ("utils.scenes",),
    ("utils.results",),
    ("utils.page",),
    ("data", "benchmarks", "scripts", "train_crosspoint", "train_partseg", "hubconf"),
)
LIBRARY = ("models", "datasets", "utils")
MOST_FILES_IN_A_ROOM = 14


def modules_of(*folders: str) -> dict[str, Path]:
    """Dotted name -> file, of all files below some folders of the repository and, with ".", of those at its top."""
    paths = [path for folder in folders if folder != "." for path in sorted((REPO / folder).rglob("*.py"))]
    paths += sorted(REPO.glob("*.py")) if "." in folders else []
    assert paths
    return {".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@cache
def imports_in(source: str) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]


def imports_of(source: str, known: dict[str, Path]) -> set[str]:
    """Modules out of `known` that a file imports, at any depth, inside functions too."""
    names = set()
    for node in imports_in(source):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"line {node.lineno}: write imports in full, not relative"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inner & known.keys() if inner <= known.keys() else {node.module, *inner}
    return names & known.keys()


def floor_of(module: str) -> tuple[int, str]:
    """Floor and room of a module: those of the longest name of FLOORS that begins its own."""
    rooms = {room: floor for floor, names in enumerate(FLOORS) for room in names}
    parts = module.split(".")
    room = next(name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in rooms)
    return rooms[room], room


def upward_arrows(modules: dict[str, Path]) -> list[str]:
    found = []
    for module, path in modules.items():
        floor, room = floor_of(module)
        for other in imports_of(path.read_text(), modules):
            other_floor, other_room = floor_of(other)
            is_package = modules[other].name == "__init__.py" and not modules[other].read_text().strip()
            if not is_package and other_room != room and other_floor >= floor:
                found.append(f"{module} -> {other}")
    return found


def test_every_file_imports_lower_floors_only():
    assert upward_arrows(modules_of(*LAYERS, ".")) == []


def test_entry_programs_do_not_import_each_other():
    modules = modules_of("data", "scripts", "benchmarks", ".")
    arrows = {(a, b) for a, path in modules.items() for b in imports_of(path.read_text(), modules)}
    assert [f"{a} -> {b}" for a, b in sorted(arrows) if a.split(".")[0] != b.split(".")[0]] == []


def test_every_entry_program_can_be_started():
    texts = {name: path.read_text() for name, path in modules_of("data", "scripts", "benchmarks", ".").items()}
    programs = {name: text for name, text in texts.items() if "\ndef parse_args(" in text}
    starts = {name: text.partition('\nif __name__ == "__main__":')[2] for name, text in programs.items()}
    assert len(programs) > 50
    by_their_room = ["benchmarks.sparse_conv.comparison"]  # its __main__.py starts it
    assert [name for name, start in starts.items() if "run_main(" not in start] == by_their_room


def test_no_files_import_each_other():
    modules = modules_of(*LAYERS, ".")
    graph = {name: imports_of(path.read_text(), modules) - {name} for name, path in modules.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_flags_are_known_in_entry_programs_and_their_flag_module_alone():
    library = modules_of(*LIBRARY)
    users = {name for name, path in library.items() if imports_of(path.read_text(), {"argparse": path})}
    assert users == {"utils.flags"}
    spaces = [str(path.relative_to(REPO)) for path in library.values() if "Namespace" in path.read_text()]
    assert spaces == []


def test_a_room_holds_few_files_and_their_names_are_their_own():
    paths = [path for path in modules_of(*LAYERS).values() if path.name != "__init__.py"]
    rooms = Counter(p.parent for p in paths if p.parent.name != "scripts")  # a flat list of what users may run
    crowded = {str(room): n for room, n in rooms.items() if n > MOST_FILES_IN_A_ROOM}
    assert crowded == {}
    names = Counter(path.name for path in paths if path.relative_to(REPO).parts[0] in LIBRARY)
    assert [name for name, number in names.items() if number > 1] == []


@pytest.mark.parametrize("words", ["import b.c", "from b import c", "def f():\n    from b.c import x"])
def test_an_import_is_found_however_it_is_written_and_what_only_looks_like_one_is_not(words):
    assert imports_of(words, {"b": REPO, "b.c": REPO}) >= {"b.c"}
    assert imports_of("import bc\nfrom x.b import c\n# import b.c", {"b": REPO, "b.c": REPO}) == set()


@pytest.mark.parametrize("layer", LAYERS)
def test_a_folder_of_ours_is_not_shadowed_by_an_installed_package(layer):
    assert Path(importlib.import_module(layer).__file__).parent == REPO / layer
