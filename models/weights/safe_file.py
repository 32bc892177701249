"""Weight files in the safetensors format: tensors and text, no code; ours also hold a digest of the tensors.

Source: https://github.com/huggingface/safetensors
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.weights.shipped import SUFFIX

_NEEDED = "pip install -r requirements.txt"
_DIGEST, _ORIGIN, _CARD = "sha256_of_tensors", "crosspoint", "card"


def safe_bytes(state: Mapping[str, Tensor], origin: Mapping[str, Any], card: Mapping[str, Any]) -> bytes:
    """Return the content of a safetensors file that `read_safe_file` reads back.

    Args:
        state: tensors by name; those under two names are written twice.
        origin: what `export_state` stored beside them (JSON values).
        card: see utils.results.weight_card (JSON values).
    Raises:
        ValueError: safetensors is not installed.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise ValueError(f"writing {SUFFIX} needs the package safetensors: {_NEEDED}") from error
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    texts = {_ORIGIN: json.dumps(origin), _CARD: json.dumps(card), _DIGEST: digest(tensors)}
    return save(tensors, metadata={"format": "pt", **texts})


def check_same(content: bytes, state: Mapping[str, Tensor]) -> None:
    """Read the content of a safetensors file back and compare it with the tensors it was made of, bit by bit.

    Raises:
        ValueError: they differ.
    """
    from safetensors.torch import load

    if digest(load(content)) != digest(state):
        raise ValueError("the tensors in the safetensors file are not those of the weights; nothing was written")


def read_safe_file(path: Path) -> OrderedDict[str, Tensor]:
    """Read a safetensors file, ours or of others, as the state dict it was made from.

    Raises:
        ValueError: safetensors is not installed, or the file is damaged.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ValueError(f"reading {path} needs the package safetensors: {_NEEDED}") from error
    try:
        with safe_open(path, "pt", device="cpu") as file:
            state = OrderedDict((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118, no mapping
            texts = file.metadata() or {}
        origin, card = json.loads(texts.get(_ORIGIN, "{}")), json.loads(texts.get(_CARD, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} is no readable {SUFFIX} file ({error}); take another copy of it") from error
    if texts.get(_DIGEST, found := digest(state)) != found:
        raise ValueError(f"{path} is damaged: its tensors are not those that were written; take another copy of it")
    state._metadata = {_ORIGIN: origin | {_CARD: card}} if origin else {}
    return state


def digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all names, types, shapes and values, in the order of the names."""
    total = hashlib.sha256()
    for name, value in sorted(state.items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
