"""Weights that come with this repository, in pretrained/: found by their name, such as dgcnn-open."""

from pathlib import Path

SUFFIX = ".safetensors"
SHIPPED = Path(__file__).resolve().parents[2] / "pretrained"


def shipped_names() -> list[str]:
    """List the names of the shipped weights, sorted."""
    return sorted(path.stem for path in SHIPPED.glob(f"*{SUFFIX}"))


def find_weights(path: str | Path) -> str | Path:
    """Return the file of the shipped weights that `path` names; `path` itself if it names none or is a file."""
    if str(path) not in shipped_names() or Path(path).is_file():
        return path
    file = SHIPPED / f"{path}{SUFFIX}"
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file  # records name it as a user would


def what_was_expected(path: Path) -> str:
    """Return the end of a message on weights that are not at `path`."""
    names = shipped_names()
    if str(path) in names:
        return f"expected a file; the weights shipped under this name, of a point encoder, are {find_weights(path)}"
    expected = "expected a .pth or .pt file written by training"
    if path.suffix:
        return expected
    if not names:
        return f"{expected}, and no weights are shipped in {SHIPPED}"
    return f"{expected}, or a name of shipped weights: {', '.join(names)}"
