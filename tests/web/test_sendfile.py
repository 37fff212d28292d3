"""Bodies from files, on either loop and over TLS: exact, in order, and without leaks."""

import asyncio
import errno
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.registry.page_cache import is_cached
from proxy.web import sendfile
from tests.support import images
from tests.support.hostile import HostileUpstream
from tests.support.images import Manifest
from tests.support.layers import Blob, random_blob
from tests.support.raw_http import Ending, RawConnection, raw_connection, request_bytes
from tests.support.store_tree import blob_path as stored_path
from tests.support.waiting import wait_until
from tests.web.conftest import REPOSITORY, blob_path
from tests.web.corpus import HOST
from tests.web.serving import LOOPS, Serving, serving

SIZE = 12 << 20
LITTLE = 4096


@dataclass(slots=True)
class Store:
    """A replica that holds a large blob and a long manifest."""

    upstream: HostileUpstream
    served: Serving
    blob: Blob
    manifest: Manifest
    tls: ssl.SSLContext | None

    @property
    def file(self) -> Path:
        return stored_path(self.served.store, self.blob.digest)

    @contextmanager
    def connection(self, *targets: str, buffer: int | None = LITTLE) -> Iterator[RawConnection]:
        """Connect with a small receive buffer and ask for all of these at once."""
        with raw_connection(
            self.served.address, tls=self.tls, receive_buffer_bytes=buffer
        ) as connection:
            connection.send(b"".join(request_bytes("GET", each, HOST) for each in targets))
            yield connection

    def pull(self) -> bytes:
        with self.connection(blob_path(self.blob), buffer=None) as connection:
            return connection.read_reply().body


def _opened(request, upstream, authority) -> Iterator[Store]:
    loop, _, way = request.param.partition("-")
    content = upstream.contents.add_blob(REPOSITORY, random_blob(SIZE, "sent"))
    manifest = images.oci_image("long", annotations={"text": "a" * (2 << 20)})
    upstream.contents.add(REPOSITORY, manifest, "long")
    sections = {"listen": {"write_timeout": "5s"}}
    if way == "tls":
        files = authority.issue(HOST)
        sections["tls"] = {"certificate": files.certificate, "key": files.key}
    with serving(upstream, loop=loop, **sections) as served:
        tls = authority.client_context() if way == "tls" else None
        store = Store(upstream, served, content, manifest, tls)
        assert store.pull() == content.data
        served.wait_event("fill.committed", digest=content.digest)
        yield store


@pytest.fixture(params=[f"{loop}-{way}" for loop in LOOPS for way in ("plain", "tls")])
def store(request, upstream, authority) -> Iterator[Store]:
    yield from _opened(request, upstream, authority)


@pytest.fixture(params=[f"{loop}-plain" for loop in LOOPS])
def plain(request, upstream, authority) -> Iterator[Store]:
    yield from _opened(request, upstream, authority)


def test_answers_before_and_behind_a_body_keep_their_order(store: Store):
    """A long answer still in the buffer, a file, small ones behind: each exact, in order."""
    blob, manifest = blob_path(store.blob), f"/v2/{REPOSITORY}/manifests/long"
    targets = ["/v2/", manifest, blob, "/v2/", blob, manifest, "/v2/"]
    bodies = {"/v2/": b"{}", blob: store.blob.data, manifest: store.manifest.data}
    with store.connection(*targets) as connection:
        for target in targets:
            reply = connection.read_reply()
            assert (reply.status, reply.body == bodies[target]) == (200, True)
        assert connection.wait_for_end(0) is Ending.KEPT_OPEN


def test_pages_that_are_not_in_memory_are_read_first(store: Store, monkeypatch):
    """A file that has left the page cache is sent exactly; its pages are read in a thread."""
    ahead: list[int] = []
    read_ahead = sendfile.read_ahead

    async def counted(executor, file, start, count):
        ahead.append(count)
        return await read_ahead(executor, file, start, count)

    monkeypatch.setattr(sendfile, "read_ahead", counted)
    assert _drop_from_cache(store.file), "this file system keeps no pages apart"
    assert store.pull() == store.blob.data
    assert ahead


def _drop_from_cache(path: Path) -> bool:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return not is_cached(file.fileno(), 0, SIZE)


def test_pages_that_are_never_in_memory_are_sent_all_the_same(store: Store, monkeypatch):
    """Where every piece has to be read first (memory is short), all is exact as well."""
    monkeypatch.setattr(sendfile, "is_cached", lambda *_: False)
    assert store.pull() == store.blob.data


def test_clients_that_leave_half_way_leave_nothing_behind(store: Store):
    """F19: after thirty departures, by FIN and RST, no descriptor and no task is left."""
    thread = store.served.thread
    _until_idle(store)
    files, tasks = _open_files(), len(asyncio.all_tasks(thread.loop))
    for i in range(30):
        with store.connection(blob_path(store.blob)) as connection:
            assert connection.read(LITTLE)
            if i % 2:
                connection.reset()
    _until_idle(store)
    wait_until(lambda: _open_files() <= files, what="as many descriptors as before")
    wait_until(lambda: len(asyncio.all_tasks(thread.loop)) <= tasks, what="as many tasks")
    aborted = [e for e in store.served.events("pull.served") if e["outcome"] == "aborted"]
    assert len(aborted) == 30
    assert all(event["bytes"] < SIZE for event in aborted)


def test_what_leaves_is_counted_as_it_leaves(store: Store):
    """A client in the middle of a blob has been counted what it took, not nothing, nor all."""
    before = _sent(store)
    with store.connection(blob_path(store.blob)) as connection:
        wait_until(lambda: _sent(store) > before, what="bytes are counted")
        assert _sent(store) - before < SIZE
        assert connection.read_reply().body == store.blob.data
    wait_until(lambda: _sent(store) - before == SIZE, what="all of them are")


def _sent(store: Store) -> float:
    return store.served.metrics().value("proxima_sent_bytes_total")


def _until_idle(store: Store) -> None:
    server = store.served.replica._server
    wait_until(lambda: not server.connections, what="all connections are gone")


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_part_is_sent_from_its_place(store: Store):
    """Parts of a file come from their offsets, pipelined one after the other."""
    spans = [(0, 1), (1, LITTLE), (LITTLE, SIZE - 1), (SIZE - 1, SIZE), (SIZE // 2, SIZE)]
    target = blob_path(store.blob)
    with raw_connection(store.served.address, tls=store.tls) as connection:
        for start, stop in spans:
            wanted = ("Range", f"bytes={start}-{stop - 1}")
            connection.send(request_bytes("GET", target, HOST, wanted))
        for start, stop in spans:
            reply = connection.read_reply()
            assert (reply.status, reply.body == store.blob.data[start:stop]) == (206, True)


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL, errno.EMFILE])
def test_a_file_that_can_not_be_sent_ends_the_connection(plain: Store, monkeypatch, code: int):
    """C9, C21: when the kernel refuses in the middle, again and again, the connection ends short
    of the length.
    """
    system_call, calls = os.sendfile, []

    def failing(out: int, file: int, offset: int, count: int) -> int:
        calls.append(offset)
        if offset > SIZE // 4:
            raise OSError(code, os.strerror(code))
        return system_call(out, file, offset, count)

    monkeypatch.setattr(sendfile.os, "sendfile", failing)
    with plain.connection(blob_path(plain.blob), "/v2/") as connection:
        reply = connection.read_reply()
        assert (reply.status, reply.is_complete) == (200, False)
        assert plain.blob.data.startswith(reply.body)
        assert connection.wait_for_end() is not Ending.KEPT_OPEN
    assert max(calls) > SIZE // 4
    plain.served.wait_event("pull.served", outcome="aborted")


@pytest.mark.parametrize("code", [errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH])
def test_a_lost_client_is_no_damage(plain: Store, monkeypatch, code: int):
    """F19: what the socket says of a client that is gone makes nobody read the file again."""
    pread, read, refused = os.pread, [], []

    def refusing(*arguments: int) -> int:
        refused.append(arguments)
        raise OSError(code, os.strerror(code))

    def counted(*arguments: int) -> bytes:
        read.append(arguments)
        return pread(*arguments)

    monkeypatch.setattr(sendfile.os, "sendfile", refusing)
    monkeypatch.setattr(sendfile.os, "pread", counted)
    with plain.connection(blob_path(plain.blob)) as connection:
        assert not connection.read_reply().is_complete
    plain.served.wait_event("pull.served", outcome="aborted", bytes=0)
    assert (len(refused), read) == (1, [])


def test_no_descriptor_for_a_body_ends_only_its_connection(plain: Store, monkeypatch):
    """C26: without a descriptor to send with, that answer is cut, and the next one is served."""
    duplicate, calls = os.dup, []

    def failing(number: int) -> int:
        calls.append(number)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(sendfile.os, "dup", failing)
    with plain.connection(blob_path(plain.blob), "/v2/") as connection:
        assert not connection.read_reply().is_complete
        assert connection.wait_for_end() is not Ending.KEPT_OPEN
    assert calls
    monkeypatch.setattr(sendfile.os, "dup", duplicate)
    assert plain.pull() == plain.blob.data
