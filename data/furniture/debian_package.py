"""Getting the furniture libraries out of the Debian package sweethome3d-furniture."""

import lzma
import shutil
import subprocess
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO

PACKAGE = "sweethome3d-furniture"
COPYRIGHT = "copyright"
BY_HAND = (
    f"download {PACKAGE}_1.8-1_all.deb from https://packages.debian.org/bookworm/all/{PACKAGE}/download and pass it "
    "as --deb FILE"
)

_MAGIC = b"!<arch>\n"
_HEADER = 60  # bytes before each member of an ar archive: name 0..15, size in decimal 48..57, end mark 58..59


def download_package(folder: Path) -> Path:
    """Let apt-get download the package into a folder.

    Raises:
        OSError: no apt-get, or it fails; the message says what to download instead.
    """
    if shutil.which("apt-get") is None:
        raise OSError(f"there is no apt-get here: {BY_HAND}")
    done = subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, capture_output=True, text=True)
    found = sorted(folder.glob(f"{PACKAGE}_*.deb"))
    if done.returncode or not found:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise OSError(f"apt-get download {PACKAGE} failed ({said[-1]}): run apt-get update, or {BY_HAND}")
    return found[0]


def extract_libraries(package: Path, folder: Path) -> list[Path]:
    """Copy the .sh3f files of a Debian package and its file of copyrights into a folder.

    Returns:
        The .sh3f files, sorted.
    Raises:
        FileNotFoundError: there is no such package.
        ValueError: it is no Debian package, is damaged, or holds no .sh3f file.
    """
    if not package.is_file():
        raise FileNotFoundError(f"no Debian package at {package}: {BY_HAND}")
    with package.open("rb") as stream:
        _seek_data(stream, package)
        try:
            with tarfile.open(fileobj=stream, mode="r|*") as tar:
                for member in tar:
                    name = Path(member.name).name
                    if member.isfile() and (name == COPYRIGHT or name.endswith(".sh3f")):
                        with tar.extractfile(member) as source, (folder / name).open("wb") as copy:
                            shutil.copyfileobj(source, copy)
        except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError) as error:
            raise ValueError(f"{package} is damaged, or packed in a way unknown here ({error}): {BY_HAND}") from error
    found = sorted(folder.glob("*.sh3f"))
    if not found:
        raise ValueError(f"{package} holds no furniture library (.sh3f): {BY_HAND}")
    return found


def _seek_data(stream: BinaryIO, package: Path) -> None:
    """Move to the first byte of the member data.tar.* of a Debian package, an ar archive."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ValueError(f"{package} is no Debian package, which begins with {_MAGIC!r}: {BY_HAND}")
    while len(header := stream.read(_HEADER)) == _HEADER:
        if header.startswith(b"data.tar"):
            return
        size = header[48:58].strip()
        if not size.isdigit():
            raise ValueError(f"{package} is damaged: a member has the size {size!r}; {BY_HAND}")
        stream.seek(int(size) + int(size) % 2, 1)  # members begin at even places
    raise ValueError(f"{package} has no member data.tar: {BY_HAND}")
