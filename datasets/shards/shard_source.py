"""The location of shards: a folder, or a URL fetched by a program such as curl, without a shell.

webdataset's `gopen` also runs `pipe:` commands in a shell and rewrites URLs by environment variables. It is therefore
bypassed: every URL is checked against a narrow set of characters, then passed to the one reader of its scheme, which
starts its program with a list of arguments.
"""

import io
import os
import re
import select
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from datasets.shards.shard_index import INDEX_NAME, Shard, ShardIndex, parse_index

STALL_S = 60  # longest wait for a byte from the network
WAITS_S = (1, 4, 16)  # pauses before each retry of a broken connection
_REFUSED = 22  # curl's status of an HTTP error such as 404; curl itself retries a busy server
_NO_RANGES = 33  # curl's status where a server cannot begin in the middle of a file
_BUFFER = 2**18
_LARGEST_INDEX = 2**28
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_URL = re.compile(r"[a-z0-9]+://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[A-Za-z0-9._~%+=-]+)*/?")
_REASONS = {
    6: "host not found", 7: "no connection", 18: "the connection was cut", 22: "the server refused it, as with 404",
    28: "too slow", 56: "the connection broke",
}  # fmt: skip


class ShardSource:
    """A folder of shards, local or at a URL.

    Args:
        location: as the user gave it.
    Raises:
        ValueError: a URL of an unknown scheme, or with characters that no plain URL needs.
    """

    def __init__(self, location: str | Path):
        self.location = str(location)
        scheme = _SCHEME.match(self.location)
        self.scheme = scheme[1] if scheme else None
        if self.scheme:
            _check_url(self.location, self.scheme)

    def where(self, name: str) -> str:
        """Return the path or URL of a file."""
        return f"{self.location.rstrip('/')}/{name}" if self.scheme else str(Path(self.location) / name)

    def load_index(self) -> ShardIndex:
        """Read and check the index.

        Raises:
            OSError: it cannot be read.
            ValueError: see `parse_index`.
        """
        where = self.where(INDEX_NAME)
        if not self.scheme and not Path(where).exists():
            raise FileNotFoundError(f"no {where}; write shards with python -m data.shard, an unfinished run has none")
        with self.open_file(INDEX_NAME) as stream:
            raw = stream.read(_LARGEST_INDEX + 1)
        if len(raw) > _LARGEST_INDEX:
            raise ValueError(f"{where} has more than {_LARGEST_INDEX} bytes; name a folder that data.shard wrote")
        return parse_index(raw, where)

    def require_files(self, index: ShardIndex) -> None:
        """Check that a local folder has every shard; at a URL nothing is asked, and nothing is read either way.

        Raises:
            FileNotFoundError: names the first that is missing.
        """
        if self.scheme:
            return
        with os.scandir(self.location) as entries:
            present = {entry.name for entry in entries if entry.is_file()}
        if missing := [shard.name for shard in index.shards if shard.name not in present]:
            raise FileNotFoundError(
                f"no {self.where(missing[0])}: {len(missing)} of the {len(index.shards)} shards that {INDEX_NAME} "
                "names are missing; copy them again, or write the shards again"
            )

    def open_shard(self, shard: Shard, *, may_be_cut: bool = False) -> BinaryIO:
        """Open a shard for reading from its start; a local file may be shorter than indexed only if `may_be_cut`.

        Raises:
            OSError: it cannot be read.
            ValueError: a local file's length differs from the index.
        """
        size = shard.bytes if self.scheme else Path(self.where(shard.name)).stat().st_size
        if size > shard.bytes or (size < shard.bytes and not may_be_cut):
            raise ValueError(
                f"{self.where(shard.name)} has {size} bytes, its index says {shard.bytes}; copy it again, or write the "
                "shards again"
            )
        return self.open_file(shard.name)

    def open_file(self, name: str) -> BinaryIO:
        """Open a file by its name: a shard's from the index, or that of the index itself."""
        where = self.where(name)
        if self.scheme:
            _check_url(where, self.scheme)
            return io.BufferedReader(_Fetched(where, self.scheme), _BUFFER)
        if not stat.S_ISREG(Path(where).stat().st_mode):
            raise OSError(f"{where} is no regular file")
        return open(where, "rb", buffering=_BUFFER)


class _Fetched(io.RawIOBase):
    """Output of the program that fetches a URL.

    If the transfer breaks off, the program is restarted after each of WAITS_S. It goes on where it was, by HTTP ranges;
    where the program or the server has none it starts anew, and the bytes already read are skipped.
    """

    def __init__(self, url: str, scheme: str):
        self.url, self.scheme = url, scheme
        self.position = self.behind = 0  # bytes returned so far; of those, how many a restart has yet to skip
        self.waits = list(WAITS_S)
        self.has_ranges = scheme in ("http", "https")
        self._start()

    def _start(self) -> None:
        program, start = _readers()[self.scheme]
        first = self.position if self.has_ranges else 0
        self.behind = self.position - first
        try:
            self._pipe = start(self.url, first) if first else start(self.url)
        except FileNotFoundError as error:
            raise OSError(
                f"{self.url} is fetched by the program {program}; install it, or copy the shards here"
            ) from error
        self._poll = select.poll()
        self._poll.register(self._pipe.stream.fileno(), select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        while True:
            try:
                self._skip_read_bytes()
                count = self._receive(buffer)
                self.position += count
                return count
            except _NoRangesError:
                self._stop()
                self.has_ranges = False
                self._start()
            except _Broken as broken:
                if broken.is_final or not self.waits:
                    raise broken.error from None
                self._stop()
                time.sleep(self.waits.pop(0))
                self._start()

    def _skip_read_bytes(self) -> None:
        scratch = memoryview(bytearray(min(self.behind, _BUFFER)))
        while self.behind and (count := self._receive(scratch[: self.behind])):
            self.behind -= count

    def _receive(self, buffer: memoryview) -> int:
        if not self._poll.poll(1000 * STALL_S):
            error = TimeoutError(f"{self.url}: no byte came for {STALL_S} s; try again, or copy the shards here")
            raise _Broken(error, is_final=False)
        count = self._pipe.stream.readinto(buffer)
        if not count and (status := self._pipe.proc.wait()):
            if status == _NO_RANGES and self.has_ranges:
                raise _NoRangesError
            reason = f"{_REASONS[status]}, " if status in _REASONS else ""
            error = OSError(f"{self.url} could not be read ({reason}exit status {status}); try again, or check it")
            raise _Broken(error, is_final=status == _REFUSED)
        return count

    def _stop(self) -> None:
        self._pipe.proc.kill()  # it may be waiting for the network, and its status no longer matters
        self._pipe.ignore_errors = True
        self._pipe.close()

    def close(self) -> None:
        if not self.closed and hasattr(self, "_pipe"):
            self._stop()
        super().close()


class _NoRangesError(Exception):
    """The server cannot begin in the middle of a file."""


class _Broken(Exception):
    """The error to raise once retries are used up; `is_final` rules out retries."""

    def __init__(self, error: OSError, is_final: bool):
        self.error, self.is_final = error, is_final


def _readers() -> dict[str, tuple[str, Callable]]:
    """Return program and starter of each scheme; webdataset is imported late because folders do not need it.

    That of HTTP takes the first byte to fetch, too.
    """
    from webdataset.gopen import Pipe, gopen_curl, gopen_gsutil

    def curl(url: str, first: int = 0) -> Pipe:
        if not first:
            return gopen_curl(url, bufsize=0)
        words = ["curl", "--connect-timeout", "30", "--retry", "30", "--retry-delay", "2", "-f", "-s", "-L"]
        return Pipe([*words, "--continue-at", str(first), url], mode="rb", bufsize=0)

    def aws(url: str) -> Pipe:  # webdataset has no reader for s3
        return Pipe(["aws", "s3", "cp", "--only-show-errors", url, "-"], mode="rb", bufsize=0)

    return {
        "http": ("curl", curl),
        "https": ("curl", curl),
        "s3": ("aws", aws),
        "gs": ("gsutil", lambda url: gopen_gsutil(url, bufsize=0)),
    }


def _check_url(url: str, scheme: str) -> None:
    if scheme not in ("http", "https", "s3", "gs"):
        raise ValueError(
            f"{url!r}: shards are read from a folder (as ./NAME if it holds a colon), http://, https://, s3:// or gs://"
        )
    if not _URL.fullmatch(url) or any(part in (".", "..") for part in url.split("/")):
        raise ValueError(
            f"{url!r} is no plain URL: host and path of letters, digits and . _ ~ % + = - only; rename the folder"
        )
