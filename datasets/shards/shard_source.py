"""Where shards lie: a folder, or a URL that a program of webdataset's fetches; never anything a shell would see.

webdataset's `gopen` also runs `pipe:` commands in a shell and rewrites URLs by environment variables. So it is not
asked to choose: every URL is checked against a narrow set of characters first, and then given to the one reader of its
scheme, which starts its program with a list of arguments.
"""

import io
import re
import select
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from datasets.shards.shard_index import INDEX_NAME, Shard, ShardIndex, parse_index

STALL_S = 60  # without a byte from the network
WAITS_S = (1, 4, 16)  # before a file is fetched again whose connection broke
_REFUSED = 22  # of curl: such as 404; it has tried again itself where the server was busy
_BUFFER = 2**18
_LARGEST_INDEX = 2**28
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_URL = re.compile(r"[a-z0-9]+://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[A-Za-z0-9._~%+=-]+)*/?")
_REASONS = {
    6: "host not found", 7: "no connection", 18: "the connection was cut", 22: "the server refused it, as with 404",
    28: "too slow", 56: "the connection broke",
}  # fmt: skip


class ShardSource:
    """A folder of shards or its URL.

    Args:
        location: as the user gave it.
    Raises:
        ValueError: a URL of an unknown scheme or with characters that no plain URL needs.
    """

    def __init__(self, location: str | Path):
        self.location = str(location)
        scheme = _SCHEME.match(self.location)
        self.scheme = scheme[1] if scheme else None
        if self.scheme:
            _check_url(self.location, self.scheme)

    def where(self, name: str) -> str:
        """Path or URL of one file."""
        return f"{self.location.rstrip('/')}/{name}" if self.scheme else str(Path(self.location) / name)

    def load_index(self) -> ShardIndex:
        """What is there.

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

    def open_shard(self, shard: Shard, *, may_be_cut: bool = False) -> BinaryIO:
        """Its bytes from the first on; a local one must have as many as the index says, or `may_be_cut` short.

        Raises:
            OSError: it cannot be read.
            ValueError: a local one of another length.
        """
        size = shard.bytes if self.scheme else Path(self.where(shard.name)).stat().st_size
        if size > shard.bytes or (size < shard.bytes and not may_be_cut):
            raise ValueError(
                f"{self.where(shard.name)} has {size} bytes, its index says {shard.bytes}; copy it again, or write the "
                "shards again"
            )
        return self.open_file(shard.name)

    def open_file(self, name: str) -> BinaryIO:
        """A file by its name, which must be of the index or the index itself."""
        where = self.where(name)
        if self.scheme:
            _check_url(where, self.scheme)
            return io.BufferedReader(_Fetched(where, self.scheme), _BUFFER)
        if not stat.S_ISREG(Path(where).stat().st_mode):
            raise OSError(f"{where} is no regular file")
        return open(where, "rb", buffering=_BUFFER)


class _Fetched(io.RawIOBase):
    """The output of the program that fetches a URL.

    When it breaks off, it is started again after each of WAITS_S, and what has been read is passed over.
    """

    def __init__(self, url: str, scheme: str):
        self.url, self.scheme = url, scheme
        self.position = self.behind = 0  # bytes given out; of those, what a new start has yet to pass over
        self.waits = list(WAITS_S)
        self._start()

    def _start(self) -> None:
        program, start = _readers()[self.scheme]
        try:
            self._pipe = start(self.url)
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
                self._pass_over()
                count = self._receive(buffer)
                self.position += count
                return count
            except _Broken as broken:
                if broken.is_final or not self.waits:
                    raise broken.error from None
                self._stop()
                time.sleep(self.waits.pop(0))
                self._start()
                self.behind = self.position

    def _pass_over(self) -> None:
        scratch = memoryview(bytearray(min(self.behind, _BUFFER)))
        while self.behind and (count := self._receive(scratch[: self.behind])):
            self.behind -= count

    def _receive(self, buffer: memoryview) -> int:
        if not self._poll.poll(1000 * STALL_S):
            error = TimeoutError(f"{self.url}: no byte came for {STALL_S} s; try again, or copy the shards here")
            raise _Broken(error, is_final=False)
        count = self._pipe.stream.readinto(buffer)
        if not count and (status := self._pipe.proc.wait()):
            reason = f"{_REASONS[status]}, " if status in _REASONS else ""
            error = OSError(f"{self.url} could not be read ({reason}exit status {status}); try again, or check it")
            raise _Broken(error, is_final=status == _REFUSED)
        return count

    def _stop(self) -> None:
        self._pipe.proc.kill()  # it may wait for the network; what it would still say does not matter
        self._pipe.ignore_errors = True
        self._pipe.close()

    def close(self) -> None:
        if not self.closed and hasattr(self, "_pipe"):
            self._stop()
        super().close()


class _Broken(Exception):
    """What a reader would raise, and whether there is no use in trying again."""

    def __init__(self, error: OSError, is_final: bool):
        self.error, self.is_final = error, is_final


def _readers() -> dict[str, tuple[str, Callable]]:
    """Program and starter for each scheme; imported where it is needed, folders need none."""
    from webdataset.gopen import Pipe, gopen_curl, gopen_gsutil

    def curl(url: str) -> Pipe:
        return gopen_curl(url, bufsize=0)

    def aws(url: str) -> Pipe:  # webdataset has no reader of its own for it
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
