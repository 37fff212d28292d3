"""Few descriptors, many idle clients, many stalled readers: no crash, no busy loop, no growth."""

import contextlib
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operation.held_fill import HOST, REPOSITORY, held_fill
from tests.operation.process_state import cpu_seconds, descriptors, resident_bytes
from tests.support.certificates import Authority
from tests.support.hostile import HostileUpstream
from tests.support.layers import random_blob
from tests.support.raw_http import RawConnection, raw_connection, request_bytes
from tests.support.replica import Replica, replica
from tests.support.waiting import wait_until

PING = request_bytes("GET", "/v2/", HOST)
DESCRIPTORS = 256
IDLE = 1000
SLOW = 20
STALLED = 200
READER_BYTES = 150 << 10
TLS_READER_BYTES = 800 << 10  # the first 64 hold a large write three times: plain, in TLS, below


@contextlib.contextmanager
def _idle_clients(running: Replica, count: int) -> Iterator[list[RawConnection]]:
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                clients.append(stack.enter_context(raw_connection(running.address)))
        yield clients


def _is_served(running: Replica, tls: ssl.SSLContext | None = None) -> bool:
    try:
        with raw_connection(running.address, tls=tls, timeout_seconds=2) as connection:
            connection.send(PING)
            return connection.read_reply().status == 200
    except OSError:
        return False


def _count_aborted(running: Replica) -> int:
    return sum(event["outcome"] == "aborted" for event in running.events("pull.served"))


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "handshakes"])
def test_few_descriptors_and_many_idle_clients(
    upstream: HostileUpstream, authority: Authority, is_tls: bool
):
    """C26, F21: 256 descriptors, 1,000 idle clients, slow readers of a fill in segments: operators
    and others are served, it heals.
    """
    sections, tls = {}, None
    if is_tls:
        files = authority.issue(HOST)
        sections["tls"] = {"certificate": files.certificate, "key": files.key}
        tls = authority.client_context()
    fill = held_fill(upstream)
    limit = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", "--")
    listen = {"header_timeout": "1s"}
    with replica(upstream.url, prefix=limit, listen=listen, **sections) as running:
        with (
            raw_connection(running.address, tls=tls) as early,
            fill.stalled_followers(running, SLOW, tls),
            _idle_clients(running, IDLE),
        ):
            early.send(PING)
            assert early.read_reply().status == 200
            spent, started_at = cpu_seconds(running), time.monotonic()
            early.send(fill.pull)
            fill.release()
            assert early.read_reply().body == fill.layer.data
            for path in ("/healthz", "/readyz", "/metrics"):
                assert running.get_ops(path).status == 200
            wait_until(lambda: time.monotonic() - started_at > 0.5)  # the time that is measured
            used = (cpu_seconds(running) - spent) / (time.monotonic() - started_at)
            assert used < 0.6, "it spins"  # one fill, three pages and 1,000 refusals are in it
        wait_until(lambda: _is_served(running, tls), 10, "clients are served again")
        wait_until(lambda: descriptors(running) < DESCRIPTORS / 2, 10, "descriptors are given back")
        assert running.stop() == 0
        assert running.process.program.log.read_text() == ""  # no traceback for who is turned away


def test_the_limit_of_the_system_is_used(upstream: HostileUpstream):
    """C26: a low soft limit is raised to the hard one, and too low a one is logged."""
    limit = ("prlimit", "--nofile=64:512", "--")
    with replica(upstream.url, prefix=limit) as running:
        limits = Path(f"/proc/{running.process.pid}/limits").read_text()
        (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
        assert line.split()[3:5] == ["512", "512"]
        (event,) = running.events("listen.few_descriptors")
        assert 50 < event["max_connections"] < 512


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_many_stalled_readers_cost_little_and_are_cut(
    upstream: HostileUpstream, authority: Authority, is_tls: bool
):
    """F22, C26: 200 clients that take nothing of a blob: memory stays, the deadline ends them."""
    sections, tls = {"listen": {"write_timeout": "1500ms"}}, None
    if is_tls:
        files = authority.issue(HOST)
        sections["tls"] = {"certificate": files.certificate, "key": files.key}
        tls = authority.client_context()
    content = upstream.contents.add_blob(REPOSITORY, random_blob(32 << 20, "large"))
    pull = request_bytes("GET", f"/v2/{REPOSITORY}/blobs/{content.digest}", HOST)
    with replica(upstream.url, **sections) as running, contextlib.ExitStack() as stack:
        with raw_connection(running.address, tls=tls) as connection:
            connection.send(pull)
            assert len(connection.read_reply().body) == len(content.data)
        running.wait_event("fill.committed")
        before, files = resident_bytes(running), descriptors(running)
        for _ in range(STALLED):
            stalled = stack.enter_context(
                raw_connection(running.address, tls=tls, receive_buffer_bytes=4096)
            )
            stalled.send(pull)
        assert _is_served(running, tls)
        most = resident_bytes(running)
        assert (most - before) / STALLED < (TLS_READER_BYTES if is_tls else READER_BYTES)
        wait_until(lambda: descriptors(running) <= files + 4, 20, "they are cut")
        wait_until(lambda: _count_aborted(running) == STALLED, what="each is logged")
        assert _is_served(running, tls)
