"""Digests of nested values, bit by bit."""

import hashlib
from collections.abc import Iterator

import numpy as np
from torch import Tensor


def leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Yield everything in nested dicts, lists and tuples with the path of keys that leads to it."""
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{place}.{key}" if place else str(key))
    else:
        yield place, value


def digest(*values: object) -> str:
    """Compute the digest of tensors, arrays, plain values and nests of them."""
    state = hashlib.sha256()
    for place, value in leaves(values):
        if isinstance(value, Tensor):
            value = value.detach().numpy()
        if isinstance(value, np.ndarray):
            state.update(f"{place} {value.dtype} {value.shape}".encode() + value.tobytes())
        else:
            state.update(f"{place} {value!r}".encode())
    return state.hexdigest()
