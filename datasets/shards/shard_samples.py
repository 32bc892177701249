"""Reader of the samples of a tar shard, each a few plain ustar members in this order, as webdataset reads them too:

    <key>.points.npy      (N, 3) float32
    <key>.view.npy.gz     (H, W, C) uint8, deflated: RGBA, or RGB where the picture is opaque
    <key>.name.txt        "<synset>/<id> <view file>"
    <key>.pairs.npy.gz    (1 + V + 3 R,) int32, deflated, in version 2: the pairs of all V views of the shape, which are
                          V, the number of pairs of each view, and the points, rows and columns of all, see PixelPairs

The key is the number of the shape in ten digits, "-", and the CRC-32 of the members as stored.
Python's tarfile takes 85 us per sample, this reader 25 us including the CRC, out of 220 us for a whole item
(python -m benchmarks.shards, one core of an AMD EPYC, 30 KiB per sample); tarfile also trusts any size in a header.
Names in a shard are never used as paths.
"""

import io
import math
import re
import zlib
from functools import lru_cache
from typing import BinaryIO, NamedTuple

import numpy as np

from datasets.pairs.pixel_pairs import PixelPairs
from datasets.shards.shard_index import ShardIndex

POINTS, VIEW, NAME, TABLE = ".points.npy", ".view.npy.gz", ".name.txt", ".pairs.npy.gz"
_BLOCK = 512
_KEY = re.compile(rb"(\d{10})-([0-9a-f]{8})")
_ADLER = 65521  # modulus of Adler-32
_GZIP = b"\x1f\x8b\x08\x00"  # deflate, without optional fields: 10 bytes in all, and 8 at the end
_NPY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(<f4|<i4|\|u1)', 'fortran_order': False, 'shape': \(([\d, ]+)\), \} *\n", re.S
)
_NPY_SLACK = 1024  # bytes for the header of an array
_LONGEST_NAME = 4096


class StoredSample(NamedTuple):
    """One sample as stored, its checksum verified; `where` names its shard."""

    number: int
    key: str
    points: memoryview
    view: memoryview
    name: memoryview
    where: str
    pairs: memoryview | None = None

    def __str__(self) -> str:
        return f"{bytes(self.name).decode(errors='replace')} (sample {self.key} of {self.where})"

    def read_points(self) -> np.ndarray:
        """Decode the cloud, (N, 3) float32, writable; damage is a ValueError."""
        try:
            return _array(self.points, np.dtype("<f4"), 2).copy()
        except ValueError as error:
            raise ValueError(f"{self}: its cloud is damaged ({error}); write the shards again") from error

    def read_view(self, most_bytes: int) -> np.ndarray:
        """Decode the view, (H, W, C) uint8.

        Args:
            most_bytes: decoded size of the largest view; no more is decompressed.
        Raises:
            ValueError: damaged.
        """
        try:
            return _array(_inflate(self.view, most_bytes), np.dtype(np.uint8), 3)
        except (zlib.error, ValueError) as error:
            raise ValueError(f"{self}: its view is damaged ({error}); write the shards again") from error

    def read_pairs(self, most_values: int) -> PixelPairs:
        """Decode the pairs of all views of the shape, of which `view` is one.

        Args:
            most_values: length of the longest array of pairs; no more is decompressed.
        Raises:
            ValueError: damaged, or the shard holds no pairs.
        """
        if self.pairs is None:
            raise ValueError(
                f"{self}: the shards hold no pairs of pixels and points; add them to the data (--pairs of "
                "data.make_shapes or data.render_views), and write the shards again with python -m data.shard"
            )
        try:
            pairs = _unpack_pairs(_array(_inflate(self.pairs, 4 * most_values), np.dtype("<i4"), 1))
            fault = pairs.fault(len(self.read_points()), pairs.num_views)
            if fault:
                raise ValueError(fault)
        except (zlib.error, ValueError) as error:
            raise ValueError(f"{self}: its pairs are damaged ({error}); write the shards again") from error
        return pairs


class SampleReader:
    """Reads or skips the samples of one shard in order.

    After a damaged sample, reading resumes as if that sample had been skipped. Where a damaged header hides the next
    sample, every later call raises the same error.

    Args:
        stream: the shard's bytes from the start.
        where: path or URL, for messages.
        size: length in bytes according to the index; no member may reach beyond it.
        index: the index that lists the shard; bounds the size of every member.
    """

    def __init__(self, stream: BinaryIO, where: str, size: int, index: ShardIndex):
        self.stream, self.where, self.size = stream, where, size
        self.offset = 0
        self.end = None  # length of the stream; unknown for a download
        if stream.seekable():
            self.end = stream.seek(0, io.SEEK_END)
            stream.seek(0)
        self._lost = ""  # the error after which no further sample can be found
        self.shapes = index.shapes
        self.most = {
            POINTS: 12 * index.most_points + _NPY_SLACK,
            VIEW: _most_deflated(most_view_bytes(index)),
            NAME: _LONGEST_NAME,
        }
        if index.has_pairs:
            self.most[TABLE] = _most_deflated(4 * index.most_pair_values)

    def read(self) -> StoredSample:
        """Read the next sample.

        Raises:
            ValueError: a header is damaged, the sample's checksum is wrong, or the shard is truncated.
            OSError: the stream failed.
        """
        start = self.offset
        doubts: list[ValueError] = []
        try:
            keys, members = zip(*[self._member(suffix, doubts) for suffix in self.most])
        except ValueError as error:
            raise (doubts or [error])[0] from None
        if doubts:
            raise doubts[0]
        key = keys[0]
        parts = _KEY.fullmatch(key)
        if not parts or len(set(keys)) != 1 or int(parts[1]) >= self.shapes:
            raise self._fault(start, f"no sample, but {key[:100]!r}")
        checksum = 0
        for member in members:
            checksum = zlib.crc32(member, checksum)
        if checksum != int(parts[2], 16):
            raise self._fault(start, f"sample {key.decode()} has another checksum than when written")
        return StoredSample(int(parts[1]), key.decode(), *members[:3], self.where, *members[3:])

    def skip(self, count: int = 1) -> None:
        """Skip samples without verifying their checksums. Raises as `read`."""
        for _ in range(count):
            for suffix in self.most:
                _, size = self._header(suffix)
                self._advance(-(-size // _BLOCK) * _BLOCK)

    def _member(self, suffix: str, doubts: list[ValueError]) -> tuple[bytes, memoryview]:
        key, size = self._header(suffix, doubts)
        return key, memoryview(self._take(-(-size // _BLOCK) * _BLOCK))[:size]

    def _header(self, suffix: str, doubts: list[ValueError] | None = None) -> tuple[bytes, int]:
        """Parse the header of the next member, which must have this suffix; append a wrong checksum to `doubts`.

        Returns:
            Key and size of the member.
        """
        if self._lost:
            raise ValueError(self._lost)
        start = self.offset
        header = self._take(_BLOCK)
        try:
            checksum = int(header[148:156].rstrip(b"\0 "), 8)
            size = int(header[124:136].rstrip(b"\0 "), 8)
        except ValueError:
            raise self._lose(start, "no header of a file") from None
        if doubts is not None and _sum_of_bytes(header) != checksum % _ADLER:
            doubts.append(self._fault(start, "a header with a wrong checksum"))
        name = header[:100].rstrip(b"\0")
        if header[156:157] != b"0" or header[257:263] != b"ustar\0" or not name.endswith(suffix.encode()):
            raise self._lose(start, f"no plain file *{suffix}, but {name!r}")
        if not 0 < size <= min(self.most[suffix], self.size - self.offset):
            raise self._lose(start, f"{name!r} of {size} bytes, more than there can be")
        return name[: -len(suffix)], size

    def _take(self, count: int) -> bytes:
        raw = self.stream.read(count)
        if len(raw) != count:
            raise self._cut(count - len(raw))
        self.offset += count
        return raw

    def _advance(self, count: int) -> None:
        if self.end is None:
            self._take(count)
            return
        if self.offset + count > self.end:
            raise self._cut(self.offset + count - self.end)
        self.stream.seek(count, io.SEEK_CUR)
        self.offset += count

    def _cut(self, missing: int) -> ValueError:
        return self._lose(self.offset, f"the end, {missing} bytes too early")

    def _lose(self, offset: int, found: str) -> ValueError:
        """Return the error of this call, and remember it for all later ones."""
        fault = self._fault(offset, found)
        self._lost = str(fault)
        return fault

    def _fault(self, offset: int, found: str) -> ValueError:
        return ValueError(
            f"{self.where} is damaged at byte {offset}: {found}; copy it again, or write the shards again "
            "(python -m data.shard --verify names all such shards)"
        )


def _sum_of_bytes(header: bytes) -> int:
    """Sum the bytes of a header, its checksum taken as blanks, modulo 65521: the lower half of Adler-32, less its 1."""
    return (zlib.adler32(header[156:], zlib.adler32(b" " * 8, zlib.adler32(header[:148]))) - 1 & 0xFFFF) % _ADLER


def most_view_bytes(index: ShardIndex) -> int:
    """Return the decoded size of the largest view, in bytes."""
    return max(height * width * channels for height, width, channels in index.view_sizes)


def pack_pairs(pairs: PixelPairs) -> np.ndarray:
    """Encode pairs as the array of a shard, (1 + V + 3 R,) int32."""
    parts = ([pairs.num_views], pairs.per_view, pairs.point, pairs.place[:, 0], pairs.place[:, 1])
    return np.concatenate(parts).astype("<i4")


def _unpack_pairs(values: np.ndarray) -> PixelPairs:
    """Decode the output of `pack_pairs`; one of another length is a ValueError."""
    num_views = int(values[0]) if len(values) else 0
    per_view, rest = values[1 : 1 + max(num_views, 0)], values[1 + max(num_views, 0) :]
    if len(per_view) != num_views or num_views < 1 or len(rest) % 3 or (rest[len(rest) // 3 :] >> 16).any():
        raise ValueError(f"{len(values)} numbers are no table of pairs")
    point, row, column = rest.reshape(3, -1)
    starts = np.concatenate([[0], np.cumsum(per_view, dtype=np.int64)])
    return PixelPairs(starts, point.copy(), np.column_stack([row, column]).astype(np.uint16))


def _most_deflated(size: int) -> int:
    return size + size // 100 + _NPY_SLACK


def _inflate(member: memoryview, most_bytes: int) -> memoryview:
    """Decompress an array of at most so many bytes beside its header."""
    if member[:4] != _GZIP:
        raise ValueError("no plain gzip")
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)  # gzip's own checksum would cost another 70 us
    raw = inflate.decompress(member[10:], most_bytes + _NPY_SLACK)
    if not inflate.eof:
        raise ValueError("not one whole array")
    return memoryview(raw)


def _array(raw: memoryview, dtype: np.dtype, ndim: int) -> np.ndarray:
    """View a C-ordered .npy array of this type and number of axes, without a copy."""
    length = 10 + int.from_bytes(raw[8:10], "little")
    stored, shape = _npy_header(bytes(raw[:length]))
    if stored != dtype.str or len(shape) != ndim or len(raw) - length != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{len(raw) - length} bytes of type {stored} and shape {shape}")
    return np.frombuffer(raw, dtype, offset=length).reshape(shape)


@lru_cache(maxsize=64)  # nearly all headers are the same
def _npy_header(header: bytes) -> tuple[str, tuple[int, ...]]:
    """Parse type and shape from the header of a .npy array."""
    parts = _NPY.fullmatch(header)
    if not parts:
        raise ValueError("it does not begin as an array")
    return parts[1].decode(), tuple(int(side) for side in parts[2].rstrip(b",").split(b", "))
