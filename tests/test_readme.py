"""README and docs: their commands parse, and the files and folders they name exist."""

import importlib
import re
import shlex
import subprocess

import pytest

from tests.conftest import REPO
from tests.support.entry_programs import write_encoder

PAGES = {path.relative_to(REPO).as_posix(): path for path in (REPO / "README.md", *sorted(REPO.glob("docs/*.md")))}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
BLOCKS = {name: re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for name, text in TEXTS.items()}
INLINE = re.compile(r"`((?:\w+=\w+ )?(?:python|bash|pueue|sbatch|torchrun) [^`]+)`")
LINES = [line for blocks in BLOCKS.values() for kind, body in blocks if kind == "bash" for line in body.splitlines()]
NAMED = [line for text in TEXTS.values() for body in INLINE.findall(text) for line in body.splitlines()]
COMMANDS = {line: words for line in [*LINES, *NAMED] if (words := shlex.split(line, comments=True))}
LAUNCHERS = ("torchrun", "sbatch", "pueue")  # what they launch is a program or a shell script of ours


def launched(words):
    """The words from our program or shell script on, without launcher and variables."""
    if words[0] in LAUNCHERS and "--wrap" in words:
        words = shlex.split(words[words.index("--wrap") + 1])
    start = next(i for i, word in enumerate(words) if word in ("python", "bash") or word.endswith((".py", ".sh")))
    return words[start:]


def program_of(words):
    """(module, its arguments) of a command line, None of a shell script that passes nothing on."""
    program, *argv = launched(words)
    if program == "python":
        program, *argv = argv[1:] if argv[0] == "-m" else argv
    if program == "scripts/slurm_pretrain.sh":
        program = "train_crosspoint.py"
    return None if program.endswith(".sh") or program == "bash" else (program.removesuffix(".py"), argv)


CALLS = {line: program_of(words) for line, words in COMMANDS.items() if words[0] != "export"}
CALLS = {line: program for line, program in CALLS.items() if program}


@pytest.mark.parametrize("line", list(CALLS), ids=list(CALLS))
def test_a_command_parses_by_its_own_program(line):
    module, argv = CALLS[line]
    parse_args = importlib.import_module(module).parse_args
    if argv or line in LINES:  # without flags, a command in the text only names its program
        parse_args(argv)


def test_every_shell_script_exists_and_is_sound():
    scripts = {word for words in COMMANDS.values() for part in words for word in part.split() if word.endswith(".sh")}
    assert {"scripts/quickstart.sh", "scripts/test.sh", "scripts/slurm_pretrain.sh"} <= scripts
    for script in sorted(scripts):
        subprocess.run(["bash", "-n", script], cwd=REPO, check=True)


def test_every_command_is_understood():
    assert {words[0].split("=")[0] for words in COMMANDS.values()} == {"python", "bash", "export", "SEED", *LAUNCHERS}


@pytest.mark.parametrize("name", list(PAGES))
def test_every_linked_shown_or_named_file_exists(name):
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXTS[name]) if "://" not in link]
    assert [link for link in links if not (PAGES[name].parent / link).exists()] == []
    folders = "datasets|models|utils|data|scripts|tests|benchmarks"
    named = re.findall(rf"\b((?:{folders})/[\w/]+\.(?:py|sh|csv|js))\b", TEXTS[name])
    assert [path for path in named if not (REPO / path).exists() and "NAME" not in path] == []


def test_the_front_page_is_short_and_links_to_every_other_page():
    assert len(TEXTS["README.md"].splitlines()) <= 200
    linked = "".join(re.findall(r"\]\(([^)]+)\)", "".join(TEXTS.values())))
    assert [name for name in PAGES if name not in ("README.md",) and name.removeprefix("docs/") not in linked] == []


def test_the_tree_has_a_line_for_every_folder_and_names_files_that_exist():
    (tree,) = (body for language, body in BLOCKS["docs/design.md"] if not language)
    shown, top = set(), ""
    for line in tree.splitlines():
        head, _, text = line.lstrip().partition("   ")
        names = re.findall(r"([\w/]+)/", head)
        folders = [REPO / top / name if line.startswith(" ") else REPO / name for name in names]
        if not line.startswith(" ") and len(names) == 1:
            top = names[0]
        shown |= set(folders)
        for file in re.findall(r"\w+\.py\b", text):
            assert any((folder / file).exists() for folder in folders), line
    assert [folder for folder in shown if not folder.is_dir()] == []
    code = {
        path.parent for part in ("datasets", "models", "utils", "benchmarks") for path in (REPO / part).rglob("*.py")
    }
    assert code - shown == set()


def test_the_lines_that_load_an_encoder_run(tmp_path, monkeypatch):
    (snippet,) = (body for language, body in BLOCKS["README.md"] if language == "python")
    write_encoder(tmp_path / "checkpoints" / "quickstart" / "models" / "best_model.pth")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(snippet.replace("(8, 1024, 3)", "(2, 64, 3)"), names)
    assert names["feature"].shape == (2, 2048)
