"""Comparison of surfaces by their samples, and a writer of small GLB files."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from datasets.shapes.meshes import sample_surface

_COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype="f4")  # of a unit square
SQUARE = np.array([0, 1, 2, 0, 2, 3], dtype="u2")


def distance(mesh: trimesh.Trimesh, other: trimesh.Trimesh) -> float:
    """Return the largest distance from a sample of one surface to the nearest of the other, both ways."""
    first, second = (sample_surface(each, 4000, np.random.default_rng(0))[0] for each in (mesh, other))
    return max(cKDTree(second).query(first)[0].max(), cKDTree(first).query(second)[0].max())


def glb(arrays: Sequence[np.ndarray], content: Mapping[str, Any], accessors: Mapping[int, Any] | None = None) -> bytes:
    """Write a GLB file: one buffer view and accessor per array, `accessors` updates some, `content` is the rest."""
    binary, views, described = b"", [], []
    for number, array in enumerate(arrays):
        width = array.shape[1] if array.ndim == 2 else 1
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": array.nbytes})
        described.append(
            {"bufferView": number, "componentType": _COMPONENTS[array.dtype.str[1:]], "count": len(array)}
            | {"type": _TYPES[width]}
            | (accessors or {}).get(number, {})
        )
        binary += array.tobytes() + bytes(-array.nbytes % 4)
    whole = {"asset": {"version": "2.0"}, "buffers": [{"byteLength": len(binary)}], "bufferViews": views}
    whole |= {"accessors": described, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}], **content}
    text = json.dumps(whole).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def primitive(**more: Any) -> list[dict[str, Any]]:
    """Return the meshes of a file whose one primitive has positions 0 and indices 1."""
    return [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1} | more]}]
