"""No content of a file is executed: neither by the code as written nor by the programs that load weights."""

import ast
import json
import os
from pathlib import Path

import pytest
import torch

import train_crosspoint
import train_partseg
from scripts import (
    eval_fewshot,
    eval_svm,
    export,
    finetune_cls,
    plot_tsne,
    pretrain_images,
    pretrain_multiview,
    retrieve,
)
from tests.conftest import REPO
from tests.support.entry_programs import call, error_of
from tests.support.tiny_trees import write_all
from utils.pretrained import load

RUNNERS = {"eval", "exec", "compile", "__import__"}
FOREIGN_CODE = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml"}
SHELLS = {
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "torch.hub.load", "torch.jit.load", "pandas.read_pickle",
}  # fmt: skip
# What the tests of these very rules need.
ALLOWED = {
    ("tests/test_readme.py", "exec"),  # runs the README's own lines
    ("tests/datasets/pairs/test_packed_file.py", "import pickle"),  # as a loader process does
    ("tests/scripts/test_export_formats.py", "torch.hub.load"),  # from this very folder
    ("tests/models/weights/test_shipped.py", "torch.hub.load"),  # likewise
    ("tests/programs/test_security.py", "torch.load"),
    ("tests/programs/test_security.py", "torch.load without weights_only=True"),
}


def findings(source: str) -> set[str]:
    """Return what a source file does that could execute data as code or as a command."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= _imported(node)
        elif isinstance(node, ast.Call):
            found |= _called(node)
    return found


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
    found = {f"import {name}" for name in modules if name.split(".")[0] in FOREIGN_CODE}
    if isinstance(node, ast.ImportFrom):
        named = {f"{node.module}.{alias.name}" for alias in node.names}
        found |= named & (SHELLS | {"torch.load", "numpy.load"})  # the calls would not be recognised
    return found


def _called(node: ast.Call) -> set[str]:
    name = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    found = {name} & (RUNNERS | SHELLS)
    if given.get("shell", "False") != "False":
        found.add("shell")
    if name in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
        found.add("np.load with pickle")
    if name == "torch.load" and given.get("weights_only") != "True":
        found.add("torch.load without weights_only=True")
    return found


def sources() -> dict[str, str]:
    """Return the text of every Python file of the project and of the cells of its notebooks."""
    folders = ("benchmarks", "data", "datasets", "models", "scripts", "tests", "utils")
    paths = [*REPO.glob("*.py"), *(path for folder in folders for path in (REPO / folder).rglob("*.py"))]
    found = {path.relative_to(REPO).as_posix(): path.read_text() for path in paths}
    for path in REPO.glob("*.ipynb"):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
        found[path.name] = "\n".join(line for line in lines if not line.startswith(("%", "!")))
    return found


def test_no_file_of_ours_runs_what_it_reads():
    found = {(path, finding) for path, source in sources().items() for finding in findings(source)}
    is_default = "torch.load without weights_only=True"  # the default since torch 2.6; tests may rely on it
    assert {one for one in found - ALLOWED if not (one[1] == is_default and one[0].startswith("tests/"))} == set()
    assert len(sources()) > 200, "have the folders moved?"


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)", "exec(text)", "compile(text, '', 'exec')", "__import__(name)", "import pickle", "import yaml",
        "from dill import loads", "def f():\n    import marshal", "os.system(command)", "os.popen(command)",
        "subprocess.run(command, shell=True)", "subprocess.run(command, shell=flag)", "from os import system",
        "torch.load(path)", "torch.load(path, weights_only=False)", "torch.load(path, weights_only=flag)",
        "from torch import load", "np.load(path, allow_pickle=True)", "numpy.load(path, allow_pickle=flag)",
        "torch.hub.load(repo, name)",
    ],
)  # fmt: skip
def test_what_could_run_foreign_code_is_found(source):
    assert findings(source)


@pytest.mark.parametrize(
    "source",
    [
        "module.eval()", "re.compile(text)", "module.compile()", "torch.compile(module)", "np.load(path)",
        "np.load(path, allow_pickle=False)", "torch.load(path, weights_only=True)", "json.load(file)",
        "subprocess.run(words)", "torch.export.load(path)",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_not(source):
    assert not findings(source)


class Evil:
    """Creates a file when it is unpickled without restrictions."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch '{self.mark}'",)


pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Tiny versions of all data sets."""
    return write_all(tmp_path_factory.mktemp("tree"))


@pytest.fixture(params=["zip", "before torch 1.6"])
def evil(request, tmp_path):
    """A weight file that runs a command when unpickled, and the file that this command creates."""
    path, mark = tmp_path / "evil.pth", tmp_path / "mark"
    torch.save({"conv1.0.weight": Evil(mark)}, path, _use_new_zipfile_serialization=request.param == "zip")
    return path, mark


def test_the_command_of_the_evil_file_runs_where_nothing_is_done_against_it(evil):
    path, mark = evil
    torch.load(path, weights_only=False)
    assert mark.is_file()


def commands(root: Path, path: Path, out: Path) -> dict[str, tuple[object, list[str]]]:
    """Return the program and the flags of every way to load weights."""
    data = ["--data_root", str(root), "--device", "cpu"]
    pretrain = [*data, "--num_points", "64", "--batch_size", "3", "--num_workers", "0", "--output_dir", str(out)]
    pretrain += ["--image_depth", "18", "--image_size", "32", "--k", "5", "--eval_freq", "0", "--exp_name", "a"]
    parts = [*data, "--num_points", "32", "--k", "4", "--num_workers", "0", "--output_dir", str(out), "--exp_name", "a"]
    parts += ["--batch_size", "2"]
    classes = ["--dataset", "modelnet40", *data, "--num_points", "64"]
    tune = [*classes, "--output_dir", str(out), "--exp_name", "a", "--batch_size", "2"]
    weights = ["--model_path", str(path)]
    views = [*data, "--num_workers", "0", "--batch_size", "2", "--output_dir", str(out), "--image_depth", "18"]
    taught = [*data, "--output_dir", str(out), "--on_bad_sample", "skip", "--eval_freq", "0"]
    return {
        "train_crosspoint": (train_crosspoint, [*pretrain, *weights]),
        "train_crosspoint images": (train_crosspoint, [*pretrain, "--image_weights", str(path)]),
        "train_crosspoint --eval": (train_crosspoint, [*pretrain, "--eval", *weights]),
        "pretrain_images": (pretrain_images, [*views, "--image_weights", str(path), "--stem", "standard"]),
        "pretrain_multiview": (pretrain_multiview, [*taught, "--num_points", "64", "--teacher", str(path)]),
        "train_partseg": (train_partseg, [*parts, "--pretrained_path", str(path)]),
        "train_partseg --eval": (train_partseg, [*parts, "--eval", *weights]),
        "finetune_cls": (finetune_cls, [*tune, "--pretrained_path", str(path)]),
        "finetune_cls --eval": (finetune_cls, [*tune, "--eval", *weights]),
        "eval_svm": (eval_svm, [*classes, *weights]),
        "eval_fewshot": (eval_fewshot, [*classes, "--k_way", "2", "--m_shot", "1", "--n_query", "1", *weights]),
        "plot_tsne": (plot_tsne, [*classes, *weights, "--out", str(out / "map.png")]),
        "retrieve": (retrieve, ["--shapes", str(root), "--evaluate", "--device", "cpu", *weights]),
        "export": (export, [*weights, "--out", str(out / "encoder.pt2")]),
    }


@pytest.mark.parametrize("name", list(commands(Path(), Path(), Path())))
def test_a_weight_file_with_code_is_refused_and_the_code_not_run(root, evil, tmp_path, capsys, name):
    path, mark = evil
    program, flags = commands(root, path, tmp_path / "out")[name]
    message = error_of(lambda: call(program, *flags), capsys)
    assert message.startswith(f"error: {path} holds posix.system beside tensors and plain values, which is not loaded")
    assert not mark.exists()


@pytest.mark.parametrize("name", ["train_crosspoint", "train_partseg", "finetune_cls"])
def test_a_state_with_code_is_not_resumed(root, evil, tmp_path, capsys, name):
    path, mark = evil
    program, flags = commands(root, path, tmp_path / "out")[name]
    state = tmp_path / "out" / "a" / "last.pt"
    state.parent.mkdir(parents=True)
    path.rename(state)
    assert str(state) in error_of(lambda: call(program, *flags[:-2], "--resume"), capsys)
    assert not mark.exists()


def test_an_encoder_from_python_is_refused_likewise(evil):
    path, mark = evil
    with pytest.raises(ValueError, match=r"evil\.pth holds posix\.system beside tensors and plain values"):
        load(path)
    assert not mark.exists()
