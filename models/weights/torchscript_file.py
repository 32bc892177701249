"""Tensors of TorchScript archives, such as OpenAI's files of CLIP, read without running the code that they hold."""

import io
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_TYPES = "__torch__."  # classes of the archive's own code
_PLAIN = ("restore_type_tag", "build_intlist", "build_boollist", "build_doublelist", "build_tensorlist")


class _Object:
    """An object of the archive: its attributes alone."""


def _first(value: Any, *of_type: Any) -> Any:
    """Return a list as it is: what TorchScript's own functions add is its type."""
    return value


def is_torchscript(path: Path) -> bool:
    """Return whether a file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Read the parameters and buffers of a module by their names, every checksum verified.

    Raises:
        ValueError: damaged, or holding more than tensors and plain values.
    """
    try:
        plain, names = _without_code(path)
        allowed = [(type("Object", (_Object,), {}), name) for name in names if name.startswith(_TYPES)]
        allowed += [(_first, f"torch.jit._pickle.{name}") for name in _PLAIN]
        with torch.serialization.safe_globals(allowed):
            module = torch.load(plain, map_location="cpu", weights_only=True)
        return _tensors(module)
    except Exception as error:  # torch, pickletools and zipfile raise a dozen types for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is no readable TorchScript archive ({reason}); take another copy of it") from error


def _without_code(path: Path) -> tuple[io.BytesIO, set[str]]:
    """Copy what torch.load needs of an archive, and name the classes and functions of its pickle."""
    plain, names = io.BytesIO(), set()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(plain, "w") as copy:
        for record in archive.infolist():
            inner = record.filename.split("/", 1)[-1]
            if inner in ("data.pkl", "version", "byteorder") or inner.startswith("data/"):
                content = archive.read(record)  # verifies its checksum
                copy.writestr(record.filename, content)
            if inner == "data.pkl":
                found = (argument for code, argument, _ in pickletools.genops(content) if code.name == "GLOBAL")
                names |= {argument.replace(" ", ".") for argument in found}
    plain.seek(0)
    return plain, names


def _tensors(module: Any, prefix: str = "") -> dict[str, Tensor]:
    found = {}
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            found[prefix + name] = value
        elif isinstance(value, _Object):
            found |= _tensors(value, f"{prefix}{name}.")
    return found
