"""Exported encoders, which need no code of this repository: torch.export programs (.pt2) and ONNX graphs (.onnx).

Each holds its card, and computes points (B, N, 3) float32 -> feature (B, D) on a CPU, for any B >= 1 and N >= k.
"""

import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from models.weights.weight_file import check_kind

PROGRAM_SUFFIX, ONNX_SUFFIX = ".pt2", ".onnx"
NEEDED = "pip install -r requirements-export.txt"
CARD_FILE = "encoder.json"  # name of the card inside a .pt2
_CARD = "card"  # its key inside an .onnx


class ProgramEncoder(nn.Module):
    """An exported encoder in the place of a network: points (B, N, 3) -> feature (B, D), without gradients.

    Attributes:
        card: what the file says of itself.
    Raises:
        ValueError: fewer points than neighbours, at the call.
    """

    def __init__(self, compute: Callable[[Tensor], Tensor], card: dict[str, Any]):
        super().__init__()
        self.compute, self.card = compute, card
        self.k, self.feature_dim = card["k"], card["feature_dim"]
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)  # shows where clouds belong: on the CPU

    def forward(self, points: Tensor) -> Tensor:
        if points.shape[1] < (least := self.k or 1):
            raise ValueError(f"clouds have {points.shape[1]} points but k = {least}; use more points")
        return self.compute(points)


def program_bytes(program: ExportedProgram, card: Mapping[str, Any]) -> bytes:
    """Return the content of a .pt2 file."""
    with io.BytesIO() as stream:
        torch.export.save(program, stream, extra_files={CARD_FILE: json.dumps(card)})
        return stream.getvalue()


def onnx_bytes(program: ExportedProgram, card: Mapping[str, Any]) -> bytes:
    """Return the content of an .onnx file with input `points` and output `feature`.

    Raises:
        ValueError: onnx, onnxscript or onnxruntime, which checks the file, is not installed.
    """
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(f"ONNX needs the packages onnx, onnxscript and onnxruntime: {NEEDED}") from error
    with _quiet():
        model = torch.onnx.export(
            program, dynamo=True, input_names=["points"], output_names=["feature"], verbose=False
        ).model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = _CARD, json.dumps(card)
    return model.SerializeToString()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxscript, which warns of every Split that it does not fold."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def program_encoder(content: bytes) -> ProgramEncoder:
    """Load the content of a .pt2 file; it is a program, so take it only from where you would take code."""
    texts = {CARD_FILE: ""}
    module = torch.export.load(io.BytesIO(content), extra_files=texts).module()
    return ProgramEncoder(lambda points: module(points), json.loads(texts[CARD_FILE]))


def onnx_encoder(content: bytes) -> ProgramEncoder:
    """Load the content of an .onnx file.

    Raises:
        ValueError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(f"ONNX files need the package onnxruntime: {NEEDED}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map[_CARD])
    return ProgramEncoder(lambda points: torch.from_numpy(session.run(None, {"points": points.numpy()})[0]), card)


_READERS = {PROGRAM_SUFFIX: program_encoder, ONNX_SUFFIX: onnx_encoder}


def is_program(path: str | Path) -> bool:
    """Return whether the suffix is that of an exported encoder."""
    return Path(path).suffix.lower() in _READERS


def load_program(path: str | Path) -> ProgramEncoder:
    """Load an exported encoder, told by the suffix of its file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, not written by scripts.export, or a package is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no exported encoder at {path}; python -m scripts.export writes one")
    check_kind(path)
    try:
        return _READERS[path.suffix.lower()](path.read_bytes())
    except Exception as error:  # torch.export, onnxruntime and zipfile raise a dozen types for damaged bytes
        if NEEDED in str(error):
            raise ValueError(f"{path}: {error}") from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is no encoder that scripts.export wrote ({reason}); export it again") from error
