"""Damage to files."""

from pathlib import Path


def flip_bit(path: Path, place: int) -> None:
    """Flip the lowest bit of the byte at `place`, which may count from the end."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
