"""Checksums of weight files. torch.load leaves those of its zip records unread, so flipped bytes of a tensor pass it."""

import zipfile
from collections import Counter
from typing import BinaryIO

_CHUNK = 2**20


def check_records(file: BinaryIO) -> None:
    """Read every record of a file by torch.save once, in little memory, and compare it with its CRC-32.

    Files of torch before 1.6 are no zip archives and hold no checksum: nothing is checked of them.

    Args:
        file: open for reading; it is left at its start.
    Raises:
        ValueError: a record has another checksum than when it was saved, a name of another, or is compressed, which
            torch.save never does.
        zipfile.BadZipFile: the table of records is damaged. Other errors of `zipfile` likewise.
    """
    file.seek(0)
    is_zip = file.read(4) == b"PK\x03\x04"  # as torch.load tells them apart
    if is_zip:
        with zipfile.ZipFile(file) as archive:
            _check_all(archive)
    file.seek(0)


def _check_all(archive: zipfile.ZipFile) -> None:
    records = archive.infolist()
    repeated = [name for name, count in Counter(record.filename.lower() for record in records).items() if count > 1]
    if repeated:
        raise ValueError(f"{len(repeated)} names of records occur twice, first {repeated[0]}")
    for record in records:
        if record.compress_type != zipfile.ZIP_STORED or record.compress_size != record.file_size:
            raise ValueError(f"record {record.filename} is compressed")
        with archive.open(record) as stream:  # raises BadZipFile at the end where the checksum differs
            while stream.read(_CHUNK):
                pass
