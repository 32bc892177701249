"""Weight files: read without running code in them, after every byte was compared with its checksum.

torch.load does not verify the checksums of its records, so a flipped byte of a tensor would pass it.
"""

import re
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from models.weights.safe_file import SUFFIX as SAFE_SUFFIX
from models.weights.safe_file import read_safe_file
from models.weights.shipped import what_was_expected

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "base_model")
_PREFIXES = ("module.", "_orig_mod.")
_FOREIGN_NAME = re.compile(r"GLOBAL ([\w.]+)")
_CHUNK = 2**20
_NAMED = 6  # tensors that do not fit, of each kind
_IS_FOLDER = 0x10  # attribute of a record; torch would leave the memory of its tensor uninitialised


def read_weights(path: str | Path) -> dict:
    """Read a checkpoint file, of torch.save or safetensors, without running any code in it, and verify its checksums.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or holding more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; {what_was_expected(path)}")
    check_kind(path)
    if path.suffix.lower() in (".pt2", ".onnx"):
        raise ValueError(
            f"{path} is an exported encoder, a program: pass the .pth or .safetensors that it was made from"
        )
    if path.suffix.lower() == SAFE_SUFFIX:
        return read_safe_file(path)
    try:
        with path.open("rb") as file:  # opened once for both, because the file may be replaced in between
            check_records(file)
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and zipfile raise a dozen types for damaged or pickled-code files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if type(error).__name__ == "UnpicklingError":  # torch's text advises to load the file unsafely
            if found := _FOREIGN_NAME.search(str(error)):
                raise ValueError(
                    f"{path} holds {found[1]} beside tensors and plain values, which is not loaded: save its tensors "
                    "alone, torch.save(model.state_dict(), FILE)"
                ) from error
            reason = "its content is none of torch.save"
        raise ValueError(
            f"{path} is damaged or not a plain weight file ({reason}); take another copy of it, or write it again"
        ) from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}, expected a state dict of tensors")
    return state


def read_kind(path: str | Path, kind: str, wanted: str) -> tuple[dict, dict]:
    """Read a weight file of ours that says what it holds; return its state dict and what it says.

    Args:
        kind: what it must say.
        wanted: end of the message otherwise, such as "is no teacher: expected FILE of PROGRAM".
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or of another kind.
    """
    state = read_weights(path)
    stored = getattr(state, "_metadata", {}).get("crosspoint", {})
    if stored.get("model") != kind:
        found = f"weights of {stored['model']}" if "model" in stored else "weights that do not say of what"
        raise ValueError(f"{path} {wanted}, found {found}")
    return state, stored


def load_exactly(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Load a state dict that has exactly the tensors of a module.

    Raises:
        ValueError: says how many tensors are missing, unexpected or of another shape, and names the first of them.
    """
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    groups = {
        "missing": sorted(expected.keys() - found),
        "unexpected": sorted(found.keys() - expected),
        "of another shape": sorted(key for key in expected.keys() & found if expected[key] != found[key]),
    }
    if any(groups.values()):
        (first, missing), *others = groups.items()
        counts = [f"{len(missing)} tensors {first}", *(f"{len(keys)} {kind}" for kind, keys in others)]
        names = [f"{kind}: {_first_of(keys)}" for kind, keys in groups.items() if keys]
        raise ValueError(f"{', '.join(counts)}; {'; '.join(names)}")
    module.load_state_dict(state)


def _first_of(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def check_tensors(state: dict) -> None:
    """Refuse a state dict that maps anything but names to tensors.

    Raises:
        ValueError: names the first other entry, or the first tensor that is not finite.
    """
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(f"no state dict of tensors: it holds a {type(value).__name__} under {key!r}")
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"{key} holds NaN or infinite weights: take weights of an earlier epoch")


def unwrap(state: dict) -> dict:
    """Return the tensors of a file whose writer put them under another name or behind a prefix.

    Such are `{"state_dict": ...}` and the `module.` and `_orig_mod.` of DataParallel and torch.compile.
    """
    for name in _WRAPPERS:
        inner = state.get(name)
        if isinstance(inner, dict) and inner and all(isinstance(value, Tensor) for value in inner.values()):
            state = inner
            break
    while prefix := next((p for p in _PREFIXES if state and all(str(key).startswith(p) for key in state)), None):
        metadata = getattr(state, "_metadata", None)
        state = OrderedDict((key.removeprefix(prefix), value) for key, value in state.items())
        if metadata is not None:
            state._metadata = metadata
    return state


def check_kind(path: Path) -> None:
    """Raise a ValueError if a file is empty, a web page or a Git LFS pointer."""
    with path.open("rb") as file:
        start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        raise ValueError(f"{path} is empty: take another copy of it")
    if start.startswith((b"<!", b"<html", b"<head", b"<?xml")):
        raise ValueError(f"{path} is a web page, not weights: download it again")
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path} is a Git LFS pointer, not weights: fetch the file itself with git lfs pull")


def check_records(file: BinaryIO) -> None:
    """Read every record of a file written by torch.save once, in little memory, and verify its CRC-32.

    Files of torch before 1.6 are no zip archives and carry no checksums: they are not checked.

    Args:
        file: open for reading; it is left at its start.
    Raises:
        ValueError: a record is compressed, a folder, or has the name of another; torch.save writes no such file.
        zipfile.BadZipFile: a checksum differs, or the table of records is damaged; other errors of `zipfile` likewise.
    """
    file.seek(0)
    is_zip = file.read(4) == b"PK\x03\x04"  # the test that torch.load applies
    if is_zip:
        with zipfile.ZipFile(file) as archive:
            _check_all(archive)
    file.seek(0)


def _check_all(archive: zipfile.ZipFile) -> None:
    records = archive.infolist()
    repeated = [name for name, count in Counter(record.filename.lower() for record in records).items() if count > 1]
    if repeated:
        raise ValueError(f"{len(repeated)} names of records occur twice, first {repeated[0]}")
    for record in records:
        if record.compress_type != zipfile.ZIP_STORED or record.compress_size != record.file_size:
            raise ValueError(f"record {record.filename} is compressed")
        if record.is_dir() or record.external_attr & _IS_FOLDER:
            raise ValueError(f"record {record.filename} is marked as a folder")
        with archive.open(record) as stream:  # raises BadZipFile at the end where the checksum differs
            while stream.read(_CHUNK):
                pass
