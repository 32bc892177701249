"""Damage files of tests in place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py


def cut(keep: int) -> Callable[[Path], object]:
    """Keep the first bytes of a file or, below zero, drop the last ones."""
    return lambda path: path.write_bytes(path.read_bytes()[:keep])


def flip(place: int | bytes, bit: int = 1) -> Callable[[Path], object]:
    """Change bits of a file, those of `bit`, in the byte of that number or in the first byte of a content."""

    def damage(path: Path) -> None:
        raw = bytearray(path.read_bytes())
        raw[place if isinstance(place, int) else raw.index(place)] ^= bit
        path.write_bytes(raw)

    return damage


def replace_bytes(old: bytes, new: bytes) -> Callable[[Path], object]:
    """Replace a content, which must occur, everywhere in a file."""

    def damage(path: Path) -> None:
        raw = path.read_bytes()
        assert old in raw
        path.write_bytes(raw.replace(old, new))

    return damage


def in_h5(edit: Callable[[h5py.File], object]) -> Callable[[Path], object]:
    """Edit an HDF5 file through the open file."""

    def damage(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            edit(file)

    return damage


def stored(**arrays: Any) -> Callable[[Path], object]:
    """Replace or, with None, drop arrays of an HDF5 file."""

    def edit(file: h5py.File) -> None:
        for key, array in arrays.items():
            del file[key]
            if array is not None:
                file[key] = array

    return in_h5(edit)


def entry(key: str, place: int | tuple[int, ...], value: float) -> Callable[[Path], object]:
    """Replace an entry of an array of an HDF5 file."""
    return in_h5(lambda file: file[key].__setitem__(place, value))
