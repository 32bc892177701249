"""The README's commands parse, and the files it names are there."""

import importlib
import re
import shlex

import pytest

from tests.conftest import REPO

TEXT = (REPO / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)
    for text in [*(body for language, body in BLOCKS if language == "bash"), *re.findall(r"`(python [^`]+)`", TEXT)]
    for line in text.splitlines()
]


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[:1] == ["python"]], ids=" ".join)
def test_a_python_command_of_the_readme_parses(words):
    module, argv = (words[2], words[3:]) if words[1] == "-m" else (words[1].removesuffix(".py"), words[2:])
    importlib.import_module(module).parse_args(argv)


def test_every_shell_script_the_readme_runs_exists():
    scripts = {words[1] for words in COMMANDS if words[:1] == ["bash"]}
    assert {"scripts/quickstart.sh", "scripts/test.sh"} <= scripts
    assert [name for name in sorted(scripts) if not (REPO / name).is_file()] == []


def test_every_linked_or_shown_file_exists():
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in target]
    assert targets
    assert [target for target in targets if not (REPO / target).exists()] == []


def test_every_file_of_the_tree_exists():
    tree = next(body for language, body in BLOCKS if not language)
    folder, missing = "", []
    for line in tree.splitlines():
        names = re.findall(r"[\w.]+\.(?:py|sh|ipynb|csv)\b|\w+/", line)
        if not line.startswith(" "):
            folder = names.pop(0) if names[0].endswith("/") else ""
        missing += [folder + name for name in names if not (REPO / folder / name).exists()]
    assert missing == []


def test_the_lines_that_load_an_encoder_run(tmp_path, monkeypatch):
    import torch

    from models.encoders.registry import build_encoder
    from models.weights.published import export_state

    (snippet,) = (body for language, body in BLOCKS if language == "python")
    path = tmp_path / "checkpoints" / "quickstart" / "models" / "best_model.pth"
    path.parent.mkdir(parents=True)
    torch.save(export_state(build_encoder("dgcnn"), "dgcnn", k=15), path)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(snippet.replace("(8, 1024, 3)", "(2, 64, 3)"), names)
    assert names["feature"].shape == (2, 2048)
