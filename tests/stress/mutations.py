"""Random damage to the bytes of files, of the kinds that disks, networks and broken programs cause."""

import gzip
import zlib
from collections.abc import Callable

import numpy as np

Mutation = Callable[[bytearray, np.random.Generator], bytearray]

_EDGE = 2048  # headers and tables of contents lie within this distance of either end
_NUMBERS = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1], np.uint64)


def mutate(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Apply a random kind of damage; return its name and the damaged bytes."""
    name = str(rng.choice(list(MUTATIONS)))
    return name, bytes(MUTATIONS[name](bytearray(content), rng))


def _place(content: bytearray, rng: np.random.Generator, length: int = 1) -> int:
    """Draw where `length` bytes change: half of the time near an end, where formats keep headers and tables."""
    last = max(len(content) - length, 0)
    if rng.random() < 0.5:
        return int(rng.integers(last + 1))
    distance = int(rng.integers(min(_EDGE, last) + 1))
    return distance if rng.random() < 0.7 else last - distance


def _flip(content: bytearray, rng: np.random.Generator) -> bytearray:
    content[_place(content, rng)] ^= int(rng.integers(1, 256))
    return content


def _flip_many(content: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.integers(2, 20))):
        _flip(content, rng)
    return content


def _zero(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, length = _block(content, rng)
    content[start : start + length] = bytes(length)
    return content


def _swap(content: bytearray, rng: np.random.Generator) -> bytearray:
    (a, length), b = _block(content, rng), _place(content, rng)
    length = min(length, len(content) - b, abs(a - b))
    content[a : a + length], content[b : b + length] = content[b : b + length], content[a : a + length]
    return content


def _repeat(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, length = _block(content, rng)
    return content[: start + length] + content[start:]


def _number(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Make a size, offset or count extreme: a binary number of either byte order, or decimal digits."""
    digits = [place for place, byte in enumerate(content[:_EDGE]) if byte in b"0123456789"]
    if digits and rng.random() < 0.3:
        place = int(rng.choice(digits))
        extreme = str(rng.choice(["-", "9" * 9, "9" * 18, "0", ".5", "e9", "x"])).encode()
        return content[:place] + extreme + content[place + int(rng.integers(2)) :]
    size, order = int(rng.choice([2, 4, 8])), str(rng.choice(["little", "big"]))
    start = _place(content, rng, size)
    content[start : start + size] = (int(rng.choice(_NUMBERS)) % 256**size).to_bytes(size, order)
    return content


def _block(content: bytearray, rng: np.random.Generator) -> tuple[int, int]:
    """Draw start and length of a block of 1 to 4096 bytes, at most the whole content."""
    length = min(int(2 ** rng.uniform(0, 12)), len(content))
    return min(_place(content, rng), len(content) - length), length


MUTATIONS: dict[str, Mutation] = {
    "truncated": lambda content, rng: content[: _place(content, rng)],
    "empty": lambda content, rng: bytearray(),
    "flipped byte": _flip,
    "flipped bytes": _flip_many,
    "zeroed block": _zero,
    "swapped blocks": _swap,
    "repeated block": _repeat,
    "appended bytes": lambda content, rng: content + rng.bytes(int(rng.integers(1, 100_000))),
    "extreme number": _number,
}


def mutate_inside_gzip(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Damage the unpacked bytes in half of the draws, where gzip's checksum does not catch it."""
    if rng.random() < 0.5:
        return mutate(content, rng)
    name, inner = mutate(gzip.decompress(content), rng)
    return f"{name} inside", gzip.compress(inner, compresslevel=1)


def mutate_png(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Correct the checksums of a damaged PNG's chunks in half of the draws, so that its decoder meets the damage."""
    name, damaged = mutate(content, rng)
    return (name, damaged) if rng.random() < 0.5 else (f"{name} resealed", _reseal(damaged))


def _reseal(content: bytes) -> bytes:
    """Write the right checksum into every chunk of a PNG."""
    resealed, place = bytearray(content), 8
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        if end + 4 > len(content):
            break
        resealed[end : end + 4] = zlib.crc32(content[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(resealed)
