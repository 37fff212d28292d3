"""Answers whose file can't be read in the middle go on from a good one, on the same connection."""

import os
import threading
from collections.abc import Callable, Iterator

import pytest

from proxy.registry import store as store_module
from tests.support.hostile import BLOBS, Status, WrongByte
from tests.support.raw_http import Ending, raw_connection, request_bytes
from tests.support.store_tree import blob_path as stored_path
from tests.support.waiting import wait_until
from tests.web.conftest import blob_path
from tests.web.corpus import HOST
from tests.web.serving import LOOPS
from tests.web.sick_files import (
    AT,
    BLOB,
    SIZE,
    BadSector,
    Line,
    is_any_copy,
    is_file,
    opened_line,
    sick_files,
)

FAR = 11 << 20
TAIL_BYTES = 64 << 10
WAYS = [f"{loop}-{way}" for loop in LOOPS for way in ("plain", "tls")]


@pytest.fixture(params=WAYS)
def line(request, upstream, authority) -> Iterator[Line]:
    with opened_line(upstream, request.param, authority) as line:
        yield line


@pytest.fixture(params=["uvloop-plain", "uvloop-tls"])
def uvloop_line(request, upstream, authority) -> Iterator[Line]:
    with opened_line(upstream, request.param, authority) as line:
        yield line


@pytest.fixture
def sick(monkeypatch) -> Callable[..., BadSector]:
    return sick_files(monkeypatch)


# --- mended ---------------------------------------------------------------------------------------


def test_a_read_error_in_the_middle_costs_the_client_nothing(line: Line, sick):
    """C21, F5: EIO half-way: the same answer goes on with bytes that are fetched anew, exact, with
    one GET; the damaged file is set aside; each byte counts for where it came from.
    """
    before = {origin: line.sent(origin) for origin in ("store", "fill")}
    sector = sick(is_file(line.inode))
    reply = line.pull()
    assert (reply.status, reply.body == BLOB.data) == (200, True)
    assert sector.fired
    line.wait_line(outcome="served", origin="fill", bytes=SIZE)
    assert (line.sent("store") - before["store"], line.sent("fill") - before["fill"]) == (
        AT,
        SIZE - AT,
    )
    line.served.wait_event("store.quarantined", digest=BLOB.digest)
    wait_until(lambda: len(line.served.events("fill.committed")) == 2, what="it is kept again")
    assert (line.pull().body == BLOB.data, line.fetched) == (True, 1)


@pytest.mark.parametrize("last", [AT + 99_999, SIZE - 1])
def test_a_part_is_mended_too(uvloop_line: Line, sick, last: int):
    """C21: a range is gone on with as well, whether it holds the last byte or not."""
    sector, start = sick(is_file(uvloop_line.inode)), AT - 400_000
    reply = uvloop_line.pull(("Range", f"bytes={start}-{last}"))
    assert (reply.status, reply.body == BLOB.data[start : last + 1]) == (206, True)
    assert sector.fired
    uvloop_line.wait_line(outcome="served", origin="fill", bytes=last + 1 - start)
    assert uvloop_line.fetched == 1


def test_a_file_that_shrinks_is_mended(line: Line):
    """C21: a stored file that is cut short while it is sent: the rest is fetched."""
    path = stored_path(line.served.store, BLOB.digest)
    with line.pulling() as connection:
        start = connection.read(1000)
        os.truncate(path, SIZE - TAIL_BYTES)
        connection._buffer[:0] = start
        assert connection.read_reply().body == BLOB.data
        assert connection.read_reply().body == b"{}"
    line.served.wait_event("store.quarantined", digest=BLOB.digest)
    assert line.fetched == 1


def test_a_file_that_is_found_good_again_is_gone_on_with(uvloop_line: Line, sick):
    """C21: after a passing error the file is hashed, and the answer goes on from it."""
    sector = sick(is_file(uvloop_line.inode), times=1)
    assert uvloop_line.pull().body == BLOB.data
    assert len(sector.fired) == 1
    uvloop_line.wait_line(outcome="served", origin="store", bytes=SIZE)
    assert uvloop_line.fetched == 0
    assert uvloop_line.served.events("store.quarantined") == []


def test_a_rest_that_is_in_memory_is_sent_from_there(uvloop_line: Line, sick, monkeypatch):
    """C21: what opens as bytes in memory is cut to the rest."""
    large = store_module.SMALL_BYTES

    def everything_is_small() -> None:
        monkeypatch.setattr(store_module, "SMALL_BYTES", SIZE)

    sector = sick(is_file(uvloop_line.inode), times=1, on_first=everything_is_small)
    assert uvloop_line.pull().body == BLOB.data
    assert (len(sector.fired), large < SIZE) == (1, True)
    uvloop_line.wait_line(outcome="served", origin="store", bytes=SIZE)


@pytest.mark.parametrize("last", [AT + 99_999, SIZE - 1])
def test_what_can_not_be_kept_passes_through(uvloop_line: Line, sick, last: int):
    """C20, C21: where nothing can be stored the rest comes from the primary as a stream."""
    spool = uvloop_line.served.store / "spool"
    spool.rename(uvloop_line.served.store / "gone")
    spool.write_bytes(b"")
    sector = sick(is_file(uvloop_line.inode))
    reply = uvloop_line.pull(("Range", f"bytes=0-{last}"))
    assert (reply.status, reply.body == BLOB.data[: last + 1]) == (206, True)
    assert sector.fired
    uvloop_line.wait_line(outcome="served", origin="primary", bytes=last + 1)


def test_many_who_meet_the_same_error_are_mended_by_one_fetch(uvloop_line: Line, sick):
    """C2, C21: readers of one damaged file share one look at it and one GET."""
    sector = sick(is_file(uvloop_line.inode))
    with (
        uvloop_line.pulling() as first,
        uvloop_line.pulling() as second,
        uvloop_line.pulling() as third,
    ):
        for connection in (first, second, third):
            assert connection.read_reply().body == BLOB.data
    assert sector.fired
    assert uvloop_line.fetched == 1
    assert uvloop_line.served.metrics().value("proxima_quarantined_total") == 1


# --- not mended -----------------------------------------------------------------------------------


def test_without_the_primary_the_answer_is_cut(line: Line, sick):
    """C9, C21: where nobody can give the rest the connection ends short of the length."""
    sector = sick(is_file(line.inode))
    fault = line.upstream.inject(Status(503), path=BLOBS, times=None)
    reply = line.pull()
    assert (reply.status, reply.is_complete) == (200, False)
    assert BLOB.data[:AT].startswith(reply.body)
    assert sector.fired
    assert fault.fired
    line.wait_line(outcome="aborted", origin="store", bytes=AT)


def test_an_answer_is_mended_once(uvloop_line: Line, sick):
    """C9, C21: when the fetched copy can't be read either the answer is cut: no loop of fetches."""
    sector = sick(is_any_copy)
    reply = uvloop_line.pull()
    assert (reply.status, reply.is_complete) == (200, False)
    assert BLOB.data[:AT].startswith(reply.body)
    assert len(sector.fired) >= 3
    uvloop_line.wait_line(outcome="aborted", origin="fill", bytes=AT)
    assert uvloop_line.fetched == 1


def test_a_wrong_rest_is_never_complete(uvloop_line: Line, sick):
    """C3, settled 19: what is fetched anew is verified before its tail goes out."""
    sector = sick(is_file(uvloop_line.inode))
    fault = uvloop_line.upstream.inject(WrongByte(-1), method="GET", path=BLOBS, times=None)
    reply = uvloop_line.pull()
    assert (reply.status, reply.is_complete) == (200, False)
    assert BLOB.data[: SIZE - TAIL_BYTES].startswith(reply.body)
    assert sector.fired
    assert fault.fired
    uvloop_line.served.wait_event("pull.served", outcome="aborted")


def test_a_wrong_part_is_not_begun_where_parts_are_verified(upstream, authority, sick):
    """C3, settled 19: with `fill.unverified_ranges = false` no byte of the new copy goes out before
    its digest has agreed.
    """
    with opened_line(
        upstream, "uvloop-plain", authority, fill={"unverified_ranges": False}
    ) as line:
        sector = sick(is_file(line.inode))
        fault = upstream.inject(WrongByte(AT + 1), method="GET", path=BLOBS, times=None)
        reply = line.pull(("Range", f"bytes=1000-{AT + 99_999}"))
        assert (reply.status, reply.is_complete) == (206, False)
        assert BLOB.data[1000:AT].startswith(reply.body)
        assert sector.fired
        assert fault.fired
        line.wait_line(outcome="aborted", origin="store", bytes=AT - 1000)


def test_nothing_is_put_behind_bytes_that_were_not_verified(uvloop_line: Line, sick):
    """C3, settled 20: a file that changed goes out while it is hashed, and is found wrong; a good
    end behind that would make a complete wrong answer, so it is cut where it can't be read.
    """
    path, served = stored_path(uvloop_line.served.store, BLOB.digest), uvloop_line.served
    damaged = b"wrong" + BLOB.data[5:]
    path.write_bytes(damaged)
    is_stored = is_file(uvloop_line.inode)
    sector = sick(
        lambda n: threading.current_thread() is served.thread._thread and is_stored(n), FAR
    )
    with uvloop_line.pulling() as connection:
        served.wait_event("store.quarantined", digest=BLOB.digest)
        assert not sector.fired
        reply = connection.read_reply()
        assert connection.wait_for_end() is not Ending.KEPT_OPEN
    assert (reply.status, reply.is_complete, len(reply.body) <= FAR) == (200, False, True)
    assert damaged.startswith(reply.body)
    assert sector.fired
    assert uvloop_line.fetched == 0


def test_a_client_that_has_left_causes_no_fetch(uvloop_line: Line, sick):
    """F19: when the client is gone by the time that its file fails, nothing is fetched for it."""
    served, sector = uvloop_line.served, sick(is_file(uvloop_line.inode), 1000)
    with raw_connection(served.address, tls=uvloop_line.tls) as connection:
        sector.on_first = connection.reset
        connection.send(request_bytes("GET", blob_path(BLOB), HOST))
        served.wait_event("store.quarantined", digest=BLOB.digest)
        served.wait_event("pull.served", outcome="aborted")
    assert sector.fired
    assert (uvloop_line.fetched, len(served.events("fill.committed"))) == (0, 1)


def test_the_right_is_asked_for_again(uvloop_line: Line, sick):
    """Settled 7: who lost the right to pull meanwhile gets no rest, not even from the store."""
    rights = uvloop_line.served.replica._chain.puller._rights
    fault = uvloop_line.upstream.inject(Status(403), times=None)
    sector = sick(
        is_file(uvloop_line.inode), times=1, on_first=lambda: rights.end_where(lambda _: True)
    )
    reply = uvloop_line.pull()
    assert (reply.status, reply.is_complete) == (200, False)
    assert (len(sector.fired), fault.fired > 0) == (1, True)
    uvloop_line.wait_line(outcome="aborted", origin="store", bytes=AT)
