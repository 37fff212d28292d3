"""A replica that holds one blob, and files that can't be read from one byte on."""

import errno
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.registry_store.ground import open_files
from tests.support.certificates import Authority
from tests.support.hostile import BLOBS, HostileUpstream
from tests.support.layers import random_blob
from tests.support.raw_http import Ending, RawConnection, RawReply, raw_connection, request_bytes
from tests.support.store_tree import blob_path as stored_path
from tests.support.waiting import wait_until
from tests.web.conftest import REPOSITORY, blob_path
from tests.web.corpus import HOST
from tests.web.serving import Event, Section, Serving, serving

SIZE = 12 << 20
AT = (2 << 20) + 12_345
FEW_BYTES = 64 << 10
MANY_TIMES = 1_000_000
BLOB = random_blob(SIZE, "mended")


@dataclass(slots=True)
class Line:
    """A replica that holds a blob and hashed it, and how its clients reach it."""

    upstream: HostileUpstream
    served: Serving
    tls: ssl.SSLContext | None

    @property
    def inode(self) -> int:
        """The stored file's."""
        return stored_path(self.served.store, BLOB.digest).stat().st_ino

    @property
    def fetched(self) -> int:
        """How often the primary was asked for the blob since it was brought here."""
        return self.upstream.count("GET", BLOBS)

    @contextmanager
    def pulling(self, *fields: tuple[str, str]) -> Iterator[RawConnection]:
        """Ask for the blob and, pipelined behind it, for something that is surely there."""
        with raw_connection(
            self.served.address, tls=self.tls, receive_buffer_bytes=FEW_BYTES
        ) as connection:
            connection.send(request_bytes("GET", blob_path(BLOB), HOST, *fields))
            connection.send(request_bytes("GET", "/v2/", HOST))
            yield connection

    def pull(self, *fields: tuple[str, str]) -> RawReply:
        """Pull the blob; a complete answer is followed by the next one, any other by the end."""
        with self.pulling(*fields) as connection:
            reply = connection.read_reply()
            if reply.is_complete:
                assert connection.read_reply().body == b"{}"
            else:
                assert connection.wait_for_end() is not Ending.KEPT_OPEN
                assert connection.read(1) == b""
        return reply

    def sent(self, origin: str) -> float:
        return self.served.metrics().value("proxima_sent_bytes_total", origin=origin)

    def wait_line(self, **fields: object) -> None:
        """Wait for the log line of the first pull after the one that brought the blob here."""

        def lines() -> list[Event]:
            return [e for e in self.served.events("pull.served") if e["reference"] == BLOB.digest]

        wait_until(lambda: len(lines()) > 1, what="a pull has been logged")
        line = lines()[1]
        assert fields.items() <= line.items()
        same = [e for e in self.served.events() if e.get("request_id") == line["request_id"]]
        assert same == [line]


@contextmanager
def opened_line(
    upstream: HostileUpstream, way: str, authority: Authority, **sections: Section
) -> Iterator[Line]:
    """Run a replica on "LOOP-plain" or "LOOP-tls"; at its end it holds nothing open or in use."""
    loop, _, way = way.partition("-")
    upstream.contents.add_blob(REPOSITORY, BLOB)
    if way == "tls":
        files = authority.issue(HOST)
        sections["tls"] = {"certificate": files.certificate, "key": files.key}
    with serving(upstream, loop=loop, **sections) as served:
        line = Line(upstream, served, authority.client_context() if way == "tls" else None)
        assert line.pull().body == BLOB.data
        served.wait_event("fill.committed", digest=BLOB.digest)
        upstream.forget()
        yield line
        room = served.replica._chain.store.room
        wait_until(lambda: not room.in_use, what="nothing is in use")
        wait_until(lambda: not _open_contents(served), what="every file is closed")


def _open_contents(served: Serving) -> list[str]:
    folders = ("docker", "spool", "quarantine")
    return [each for name in folders for each in open_files(served.store / name)]


@dataclass(slots=True)
class BadSector:
    """Files that can't be read from one byte on, as over a bad sector: what lies before still can.

    is_bad:   which files, by their descriptor.
    times:    how often a read fails before all is well again.
    on_first: called as the first read fails.
    """

    is_bad: Callable[[int], bool]
    at: int = AT
    calls: tuple[str, ...] = ("sendfile", "pread")
    times: int = MANY_TIMES
    on_first: Callable[[], object] = field(default=lambda: None)
    fired: list[str] = field(default_factory=list)

    def limit(self, call: str, file: int, start: int, count: int) -> int:
        """Give how much of a read succeeds. Raises: OSError: nothing does."""
        if call not in self.calls or len(self.fired) >= self.times or not self.is_bad(file):
            return count
        if start < self.at:
            return min(count, self.at - start)
        self.fired.append(call)
        if len(self.fired) == 1:
            self.on_first()
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def sick_files(monkeypatch: pytest.MonkeyPatch) -> Callable[..., BadSector]:
    """Give a function that lets reads fail for the length of a test."""
    sendfile, pread = os.sendfile, os.pread

    def begin(*fields, **named) -> BadSector:
        sector = BadSector(*fields, **named)

        def sick_sendfile(out: int, file: int, start: int, count: int) -> int:
            return sendfile(out, file, start, sector.limit("sendfile", file, start, count))

        def sick_pread(file: int, count: int, start: int) -> bytes:
            return pread(file, sector.limit("pread", file, start, count), start)

        monkeypatch.setattr(os, "sendfile", sick_sendfile)
        monkeypatch.setattr(os, "pread", sick_pread)
        return sector

    return begin


def is_file(inode: int) -> Callable[[int], bool]:
    return lambda number: os.fstat(number).st_ino == inode


def is_any_copy(number: int) -> bool:
    return os.fstat(number).st_size == SIZE
