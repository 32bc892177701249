"""Call entry programs in this process by the words of their command lines."""

from pathlib import Path
from types import ModuleType

from benchmarks.harness.records import read_csv
from tests.support.entry_programs import error_of
from utils.csv_rows import Row


def run(program: ModuleType, *words: object) -> int | None:
    """Return the exit status of the program."""
    return program.main(program.parse_args([str(word) for word in words]))


def message_of(capsys, program: ModuleType, *words: object) -> str:
    """Return the message of a program that must refuse its flags or its input."""
    return error_of(lambda: run(program, *words), capsys)


def recorded(folder: Path, benchmark: ModuleType, *words: object) -> list[Row]:
    """Return the rows that a benchmark keeps."""
    run(benchmark, *words, "--record", folder / "r.csv")
    return read_csv(folder / "r.csv")
