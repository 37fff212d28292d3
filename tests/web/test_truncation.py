"""A body that can't be completed ends with its connection, never with another answer inside."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.support.hostile import BLOBS, Cut, Fault, HostileUpstream, Stall, Status, WrongByte
from tests.support.layers import Blob, random_blob
from tests.support.raw_http import Ending, RawConnection, raw_connection, request_bytes
from tests.support.store_tree import blob_path as stored_path
from tests.web.conftest import REPOSITORY, blob_path
from tests.web.corpus import HOST
from tests.web.serving import LOOPS, Serving, serving

SIZE = 6 << 20
FEW_BYTES = 64 << 10


@dataclass(slots=True)
class Line:
    """A replica and how its clients reach it."""

    upstream: HostileUpstream
    served: Serving
    tls: ssl.SSLContext | None

    def add(self, seed: str) -> Blob:
        return self.upstream.contents.add_blob(REPOSITORY, random_blob(SIZE, seed))

    @contextmanager
    def two_pulls(self, content: Blob) -> Iterator[RawConnection]:
        """Ask for a blob and, pipelined behind it, for something that is surely there."""
        with raw_connection(
            self.served.address, tls=self.tls, receive_buffer_bytes=FEW_BYTES
        ) as connection:
            connection.send(request_bytes("GET", blob_path(content), HOST))
            connection.send(request_bytes("GET", "/v2/", HOST))
            yield connection


@pytest.fixture(params=[f"{loop}-{way}" for loop in LOOPS for way in ("plain", "tls")])
def line(request, upstream, authority) -> Iterator[Line]:
    loop, _, way = request.param.partition("-")
    sections = {}
    if way == "tls":
        files = authority.issue(HOST)
        sections["tls"] = {"certificate": files.certificate, "key": files.key}
    with serving(upstream, loop=loop, **sections) as served:
        yield Line(upstream, served, authority.client_context() if sections else None)


def _expect_a_cut(line: Line, content: Blob, connection: RawConnection) -> None:
    reply = connection.read_reply()
    assert reply.status == 200
    assert int(reply.header("Content-Length")) == SIZE
    assert not reply.is_complete
    assert len(reply.body) < SIZE
    assert content.data.startswith(reply.body)
    assert connection.wait_for_end() is not Ending.KEPT_OPEN
    assert connection.read(1) == b""
    line.served.wait_event("pull.served", outcome="aborted", reference=content.digest)


def _fill_fault(line: Line, kind: object) -> Fault:
    return line.upstream.inject(kind, method="GET", path=BLOBS, times=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Cut(SIZE // 8, reset=True), WrongByte(-1)])
def test_a_fill_that_fails_ends_the_connection(line: Line, kind: object):
    """C9: fewer bytes than announced, plain and TLS: cut, and no second answer in the first."""
    content, fault = line.add("failing fill"), _fill_fault(line, kind)
    with line.two_pulls(content) as connection:
        _expect_a_cut(line, content, connection)
    assert fault.fired


def test_a_pass_through_that_fails_ends_the_connection(line: Line):
    """C9: the same where nothing can be stored and the bytes only pass through."""
    spool = line.served.store / "spool"
    spool.rename(line.served.store / "gone")
    spool.write_bytes(b"")
    content, fault = line.add("failing stream"), _fill_fault(line, Cut(SIZE // 2))
    with line.two_pulls(content) as connection:
        _expect_a_cut(line, content, connection)
    assert fault.fired


def test_a_file_that_shrinks_ends_the_connection(line: Line):
    """C9: a stored file that is cut short while it is sent, where nobody can give the rest."""
    content = line.add("shrinking")
    with line.two_pulls(content) as connection:
        assert connection.read_reply().body == content.data
    line.served.wait_event("fill.committed", digest=content.digest)
    path, fault = stored_path(line.served.store, content.digest), _fill_fault(line, Status(503))
    with line.two_pulls(content) as connection:
        start = connection.read(1000)
        with path.open("r+b") as file:
            file.truncate(SIZE - FEW_BYTES)
        connection._buffer[:0] = start
        _expect_a_cut(line, content, connection)
    assert fault.fired


def test_a_client_that_stops_half_way_ends_only_its_own_connection(line: Line):
    """C9: a reset in the middle of a fill is noticed; the next client gets everything."""
    content = line.add("leaving")
    fault = line.upstream.inject(Stall(SIZE // 2), method="GET", path=BLOBS)
    with line.two_pulls(content) as connection:
        assert connection.read(1)
        fault.wait_fired()
        connection.reset()
    fault.release()
    with line.two_pulls(content) as connection:
        assert connection.read_reply().body == content.data
        assert connection.read_reply().body == b"{}"
    line.served.wait_event("pull.served", outcome="aborted", reference=content.digest)
