"""Decoding of the arrays of glTF 2.0 files: buffers, buffer views and accessors."""

import base64
import binascii
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

Json = Mapping[str, Any]
_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
MESHOPT_SUFFIX = "meshopt_compression"  # EXT_ and KHR_
_MOST_ROWS = 2**28  # bounds the memory that a damaged file can claim
_JSON_CHUNK, _BIN_CHUNK = b"JSON", b"BIN\x00"


class GltfArrays:
    """The JSON of a .glb or .gltf file and the arrays it describes.

    Raises:
        ValueError: not glTF 2.0, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        data = path.read_bytes()
        self._binary: bytes | None = None
        text = data
        if data[:4] == b"glTF":
            chunks = self._chunks(data)
            text, self._binary = chunks.get(_JSON_CHUNK, b""), chunks.get(_BIN_CHUNK)
        try:
            self.json: Json = json.loads(text.decode("utf-8-sig"))
            version = str(self.json["asset"]["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: not a readable glTF file ({type(error).__name__}: {error})") from error
        if version.split(".")[0] != "2":
            raise ValueError(f"{path}: is glTF {version}, expected glTF 2.0: export it again as 2.0")

    def _chunks(self, data: bytes) -> dict[bytes, bytes]:
        version, length = (int.from_bytes(data[i : i + 4], "little") for i in (4, 8))
        if version != 2 or length > len(data):
            raise ValueError(
                f"{self.path}: not a readable GLB file: version {version}, {length} bytes announced, {len(data)} held"
            )
        chunks: dict[bytes, bytes] = {}
        place = 12
        while place + 8 <= length:
            size, kind = int.from_bytes(data[place : place + 4], "little"), data[place + 4 : place + 8]
            chunks.setdefault(kind, data[place + 8 : place + 8 + size])
            place += 8 + size
        return chunks

    def items(self, name: str) -> list[Json]:
        """Return a top-level list, such as `nodes`, empty where the file has none."""
        return self.json.get(name, [])

    def view(self, index: int) -> bytes:
        """Return the bytes of a buffer view."""
        view = self.items("bufferViews")[index]
        unread = sorted(name for name in view.get("extensions", {}) if name.endswith(MESHOPT_SUFFIX))
        if unread and "uri" not in self.items("buffers")[view["buffer"]] and view["buffer"] != 0:  # no plain copy of it
            raise ValueError(f"{self.path}: needs {meshopt_remedy(unread[0], self.path)}")
        start = view.get("byteOffset", 0)
        data = self._buffer(view["buffer"])[start : start + view["byteLength"]]
        if len(data) < view["byteLength"]:
            raise ValueError(f"{self.path}: buffer view {index} ends behind its buffer: cut short, make it again")
        return data

    def _buffer(self, index: int) -> bytes:
        uri = self.items("buffers")[index].get("uri")
        if uri is not None:
            return self.resource(uri)
        if self._binary is None:
            raise ValueError(f"{self.path}: buffer {index} has neither an address nor a binary chunk")
        return self._binary

    def resource(self, uri: str) -> bytes:
        """Return the bytes behind an address: base64 in the file itself, or a file beside it.

        Raises:
            ValueError: neither of the two, or no such file.
        """
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.split(",", 1)[1], validate=True)
            except (IndexError, binascii.Error) as error:
                raise ValueError(f"{self.path}: a data address in it is damaged ({error})") from error
        place = self.path.parent / unquote(uri)
        if "://" in uri or not place.resolve().is_relative_to(self.path.parent.resolve()):
            raise ValueError(f"{self.path}: names {uri}, which is not beside it: only files in its folder are read")
        if not place.is_file():
            raise ValueError(f"{self.path}: names {uri}, which is not there: copy it beside the file")
        return place.read_bytes()

    def array(self, index: int) -> np.ndarray:
        """Decode an accessor, sparse or not.

        Returns:
            (N, C), or (N,) for scalars; normalised integers become float32 in [0, 1] or [-1, 1].
        """
        accessor = self.items("accessors")[index]
        width, dtype = _WIDTHS[accessor["type"]], np.dtype(_TYPES[accessor["componentType"]])
        if accessor["count"] > _MOST_ROWS:
            raise ValueError(f"{self.path}: accessor {index} announces {accessor['count']} rows, more than are read")
        if "bufferView" in accessor:
            stride = self.items("bufferViews")[accessor["bufferView"]].get("byteStride")
            values = self._read(accessor["bufferView"], accessor, accessor["count"], width, dtype, stride)
        else:
            values = np.zeros((accessor["count"], width), dtype=dtype)
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            where, what = sparse["indices"], sparse["values"]
            rows = self._read(where["bufferView"], where, sparse["count"], 1, np.dtype(_TYPES[where["componentType"]]))
            values = values.copy()
            values[rows[:, 0]] = self._read(what["bufferView"], what, sparse["count"], width, dtype)
        if accessor.get("normalized"):
            values = normalise(values)
        return values[:, 0] if width == 1 else values

    def _read(
        self, view: int, place: Json, count: int, width: int, dtype: np.dtype, stride: int | None = None
    ) -> np.ndarray:
        """Read rows of numbers from a buffer view. Shape: -> (count, width)."""
        data, offset, row = self.view(view), place.get("byteOffset", 0), width * dtype.itemsize
        stride = stride or row
        if count and offset + stride * (count - 1) + row > len(data):
            raise ValueError(f"{self.path}: an accessor ends behind buffer view {view}: damaged, export it again")
        return np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))


def normalise(values: np.ndarray) -> np.ndarray:
    """Convert integers to fractions of the largest of their type, as `normalized` accessors mean them; keep floats."""
    if values.dtype.kind == "f":
        return values
    return np.maximum(values / np.float32(np.iinfo(values.dtype).max), -1).astype(np.float32)


def meshopt_remedy(name: str, path: Path) -> str:
    """Name the extension, and the command that decodes it: no Python package that this project uses does."""
    copy = path.with_name(f"{path.stem}_plain.glb")
    command = f"npx gltfpack -i {shlex.quote(str(path))} -o {shlex.quote(str(copy))}"
    return f"{name}, which no package used here reads; write a copy without it (gltfpack 0.21 or later): {command}"
