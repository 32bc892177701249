"""Checksums of weight files: torch.load does not compare those of its records, so flipped bytes of a tensor pass it."""

import zipfile
from collections import Counter
from typing import BinaryIO

_CHUNK = 2**20
_IS_FOLDER = 0x10  # in the attributes of a record: torch then gives its tensor whatever the memory holds


def check_records(file: BinaryIO) -> None:
    """Read every record of a file by torch.save once, in little memory, and compare it with its CRC-32.

    Files of torch before 1.6 are no zip archives and hold no checksum: nothing is checked of them.

    Args:
        file: open for reading; it is left at its start.
    Raises:
        ValueError: a record is compressed, a folder, or has the name of another; torch.save writes no such file.
        zipfile.BadZipFile: a record has another checksum than when it was saved, or their table is damaged; other
            errors of `zipfile` likewise.
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
        if record.is_dir() or record.external_attr & _IS_FOLDER:
            raise ValueError(f"record {record.filename} is marked as a folder")
        with archive.open(record) as stream:  # raises BadZipFile at the end where the checksum differs
            while stream.read(_CHUNK):
                pass
