"""Check a downloaded archive, unpack it safely and put each data set it holds where the readers look.

    python -m data.unpack modelnet40.tar.gz --out data

Sets are recognised by the content of the archive, not by its name. The whole archive is verified before anything is
written. Running again after a kill unpacks afresh; after a success it does nothing.
"""

import argparse
import gzip
import hashlib
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, Self

from tqdm import tqdm

from data.checking.recognise_sets import SETS, recognise_sets
from utils.cli import run_main

SUMS = "SHA256SUMS.local"
ORIGIN = ".unpacked_from"  # in each unpacked folder: sha256 and name of its archive

_GZIP_MAGIC = b"\x1f\x8b"
_MAX_NAME = 2**20  # bytes; tarfile reads long names and other headers into memory, whatever their stated length


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="a .tar.gz file")
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder that receives the data sets")
    parser.add_argument("--expect", choices=SETS, help="set the archive is said to hold; a difference is pointed out")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    size = check_archive(args.archive)
    digest = sha256(args.archive)
    print(f"{args.archive}: sha256 {digest}")
    print(_compare(args.out / SUMS, args.archive.name, digest))
    found = unpack(args.archive, args.out, digest, size)
    _record(args.out / SUMS, args.archive.name, digest)
    for name in found:
        print(f"{args.archive.name} holds {name}: {args.out / SETS[name]}")
    if args.expect and args.expect not in found:
        print(f"note: it was expected to hold {args.expect}; the published list does not say which link is which")


class _Member(tarfile.TarInfo):
    """An archive member; members other than files, such as the long name of the next one, must be short."""

    @classmethod
    def frombuf(cls, *args: Any) -> Self:
        member = super().frombuf(*args)
        if member.type not in tarfile.REGULAR_TYPES and member.size > _MAX_NAME:
            raise tarfile.ReadError(f"a header of {member.size} bytes")
        return member


def check_archive(archive: Path) -> int:
    """Read the archive to its end and check name and type of every member.

    Returns:
        Total size of its files in bytes.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a gzipped tar file, truncated or damaged, or with a member that could write elsewhere.
    """
    with open(archive, "rb") as file:
        start = file.read(512)
    if not start.startswith(_GZIP_MAGIC):
        page = b"<html" in start.lower() or b"<!doctype" in start.lower()
        kind = "a web page, as Google Drive sends when its quota is used up" if page else "no gzip file"
        raise ValueError(f"{archive} is {kind}; delete it and download it again later or in a browser")
    try:
        with gzip.open(archive) as stream:
            size = 0
            with tarfile.open(fileobj=stream, mode="r:", tarinfo=_Member) as tar:
                for member in tqdm(tar, "checking", unit=" files", disable=None):
                    _check_member(archive, member)
                    size += member.size
            while stream.read(1 << 20):  # gzip verifies its checksum at the end
                pass
            return size
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.ReadError) as error:
        raise ValueError(f"{archive} is cut short or damaged ({error}); delete it and download it again") from error


def _check_member(archive: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{archive}: member {member.name!r} points outside the folder it is unpacked in; not unpacked")
    if not (member.isfile() or member.isdir()):
        raise ValueError(f"{archive}: member {member.name!r} is a link or a device; not unpacked")
    if member.issparse():  # a few bytes can stand for a file that fills the disk
        raise ValueError(f"{archive}: member {member.name!r} has holes; not unpacked")


def sha256(path: Path) -> str:
    """Compute the checksum of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive: Path, out: Path, digest: str, size: int) -> list[str]:
    """Unpack a checked archive beside its destination, then move each set into place by one rename.

    Args:
        digest: sha256 of the archive.
        size: total size of its files, from `check_archive`.
    Returns:
        Names of the sets it holds, including those that an earlier run unpacked from the same archive.
    Raises:
        ValueError: the archive holds no known layout, or a destination holds data of another origin.
        OSError: there is not enough room on the disk.
    """
    done = [name for name in SETS if _origin(out / SETS[name]) == digest]
    if done and digest in _read_sums(out / SUMS).values():
        print(f"{archive.name} is unpacked already: nothing to do")
        return done
    work = out / f".unpacking_{archive.name}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        room = shutil.disk_usage(work).free
        if size > room:
            raise OSError(f"{archive} unpacks to {size} bytes, {out} has room for {room}; pass --out on a larger disk")
        with tarfile.open(archive, "r:gz") as tar:
            for member in tqdm(tar, "unpacking", unit=" files", disable=None):
                _check_member(archive, member)
                _extract(tar, member, work)
        found = recognise_sets(work)
        if not found:
            raise ValueError(f"{archive} holds none of the known sets ({', '.join(SETS)}); unpack it by hand")
        for name, folder in found.items():
            _move(folder, out / SETS[name], digest, archive.name)
        return list(found)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a folder or file with default permissions (tarfile's filters need Python 3.11.4)."""
    target = folder / member.name
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tar.extractfile(member) as source, open(target, "wb") as copy:
        shutil.copyfileobj(source, copy)


def _move(folder: Path, destination: Path, digest: str, archive_name: str) -> None:
    if _origin(destination) == digest:
        return
    if destination.exists():
        raise ValueError(f"{destination} exists and is of another origin; move it away, or pass another --out")
    (folder / ORIGIN).write_text(f"{digest}  {archive_name}\n")
    folder.rename(destination)


def _origin(folder: Path) -> str | None:
    """Read the checksum of the archive a folder was unpacked from; None for a folder of another origin."""
    path = folder / ORIGIN
    return path.read_text().split()[0] if path.is_file() else None


def _compare(sums: Path, name: str, digest: str) -> str:
    """Compare a checksum with those of earlier downloads; no published checksums of these archives exist."""
    known = _read_sums(sums).get(name)
    if known is None:
        return f"no checksum is published for it; recording this one in {sums}"
    return f"same as recorded in {sums}" if known == digest else f"note: {sums} records another file: {known}"


def _read_sums(sums: Path) -> dict[str, str]:
    """Read a mapping from file name to sha256, in the format of sha256sum."""
    if not sums.is_file():
        return {}
    return {name: digest for digest, name in (line.split("  ", 1) for line in sums.read_text().splitlines() if line)}


def _record(sums: Path, name: str, digest: str) -> None:
    known = _read_sums(sums) | {name: digest}
    sums.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(known.items())))


if __name__ == "__main__":
    run_main(main, parse_args())
