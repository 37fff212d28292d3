"""Answers that stall, break or drip are told as `LinkBroken` or `Unavailable`, in bounded time."""

import asyncio
import time

import pytest

from proxy.net.session import Limits, LinkBroken, NotConnected, Outgoing, Session, _Pace
from proxy.oci.errors import Unavailable
from tests.net.peer import Call, Peer, peer, saying, silent
from tests.net.sessions import GET, OpenSession, held_connections, idle_connections, unasked_answers
from tests.support.waiting import eventually

OK = b"HTTP/1.1 200 OK\r\n"
HALF = OK + b"Content-Length: 10\r\n\r\nhello"
HALF_CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"


async def received(session: Session, primary: Peer) -> tuple[bytes, Exception | None]:
    """Give what came of a body until it ended, and how it ended."""
    answer = await session.send(primary.origin, GET)
    got = b""
    try:
        async for chunk in answer.chunks():
            got += chunk
    except LinkBroken as error:
        return got, error
    finally:
        answer.close()
    return got, None


# --- before the headers ---------------------------------------------------------------------------

STALLS = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 20",
    "half a head": OK + b"Content-Length: 5\r\n",
    "early hints": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "a continue nobody asked for": b"HTTP/1.1 100 Continue\r\n\r\n",
    "processing, twice": b"HTTP/1.1 102 Processing\r\n\r\n" * 2,
}


@pytest.mark.parametrize("data", STALLS.values(), ids=STALLS)
async def test_headers_that_do_not_come(impatient: Session, data: bytes) -> None:
    """C22: an answer whose headers don't come is given up, whatever came before them."""
    async with peer(saying(data)) as primary:
        with pytest.raises(Unavailable) as raised:
            await impatient.send(primary.origin, GET)
        assert not isinstance(raised.value, (NotConnected, LinkBroken))
        await eventually(lambda: not primary.is_open, 2)


async def test_interim_answers_are_passed_over(impatient: Session) -> None:
    """Any number of interim answers before the one that counts do no harm."""
    data = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK + b"Content-Length: 2\r\n\r\nok"
    )
    async with peer(saying(data)) as primary:
        answer = await impatient.send(primary.origin, GET)
        assert (answer.status, await answer.read(10)) == (200, b"ok")


# --- in the body ----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [HALF, HALF_CHUNKED, OK + b"\r\nhello"])
async def test_body_that_stalls(impatient: Session, data: bytes) -> None:
    """C22: a body that stops coming is a break after the read timeout; what came is good."""
    async with peer(saying(data)) as primary:
        got, error = await received(impatient, primary)
        assert got == b"hello"
        assert isinstance(error, LinkBroken)


@pytest.mark.parametrize("data", [HALF, HALF_CHUNKED])
@pytest.mark.parametrize("is_reset", [False, True], ids=["FIN", "RST"])
async def test_body_that_is_cut(impatient: Session, data: bytes, is_reset: bool) -> None:
    """C22: a body that ends early is a break, be it by FIN or RST, and never a complete one."""

    async def handle(call: Call) -> None:
        await call.head()
        await call.send(data)
        await has_come.wait()
        if is_reset:
            call.reset()

    has_come = asyncio.Event()
    async with peer(handle) as primary:
        answer = await impatient.send(primary.origin, GET)
        chunks = answer.chunks()
        assert await anext(chunks) == b"hello"
        has_come.set()
        with pytest.raises(LinkBroken):
            await anext(chunks)
        answer.close()


async def test_what_came_before_a_break_is_given(impatient: Session) -> None:
    """C22: bytes that were here when the connection broke are good, also for a reader that comes
    late: the transfer goes on behind them.
    """

    async def handle(call: Call) -> None:
        await call.head()
        await call.send(HALF)
        await has_come.wait()
        call.reset()

    has_come = asyncio.Event()
    async with peer(handle) as primary:
        answer = await impatient.send(primary.origin, GET)
        content = answer._response.content
        await eventually(lambda: content.total_raw_bytes == 5)
        has_come.set()
        await eventually(content.exception)
        chunks = answer.chunks()
        assert await anext(chunks) == b"hello"
        with pytest.raises(LinkBroken):
            await anext(chunks)
        answer.close()


async def test_chunk_that_breaks_http(impatient: Session) -> None:
    """A body whose framing breaks half-way is a break too, and nobody waits for it without end."""

    async def handle(call: Call) -> None:
        await call.head()
        await call.send(HALF_CHUNKED)
        await has_come.wait()
        await call.send(b"zz\r\nhello\r\n")
        await call.rest()

    has_come = asyncio.Event()
    async with peer(handle) as primary:
        answer = await impatient.send(primary.origin, GET)
        chunks = answer.chunks()
        assert await anext(chunks) == b"hello"
        has_come.set()
        with pytest.raises(LinkBroken):
            await anext(chunks)
        answer.close()
        assert idle_connections(impatient) == 0


@pytest.mark.parametrize("is_apart", [False, True], ids=["with the first", "afterwards"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_second_answer_is_no_part_of_the_first(
    impatient: Session, method: str, is_apart: bool
) -> None:
    """C9: an answer that nobody asked for is neither the rest of a body nor what the next request
    gets, be it in the same packet or on a connection that is idle already.
    """

    async def handle(call: Call) -> None:
        await call.head()
        if call.number > 1:
            await call.answer(200, b"second")
        elif is_apart:
            await call.answer(200, b"first")
            await eventually(lambda: idle_connections(impatient))
            await call.answer(200, b"poison")
        else:
            await call.send(2 * (OK + b"Content-Length: 5\r\n\r\nfirst"))
        await call.rest()

    async with peer(handle) as primary:
        assert await received(impatient, primary) == (b"first", None)
        if is_apart:
            await eventually(lambda: unasked_answers(impatient))
        answer = await impatient.send(primary.origin, Outgoing(method, "/", {}))
        assert await answer.read(100) == b"second"
        assert primary.connections == 2


async def test_closed_while_it_is_read(impatient: Session) -> None:
    """Who reads an answer that another closes sees a break."""
    async with peer(saying(HALF)) as primary:
        answer = await impatient.send(primary.origin, GET)
        chunks = answer.chunks()
        assert await anext(chunks) == b"hello"
        reading = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        answer.close()
        with pytest.raises(LinkBroken):
            await reading


@pytest.mark.parametrize("data", [b"", HALF], ids=["before the headers", "in the body"])
async def test_cancelled_request_ends_its_connection(
    open_session: OpenSession, data: bytes
) -> None:
    """Who is cancelled while it waits leaves no connection and no task."""
    session = open_session(read_timeout=60.0)
    async with peer(saying(data)) as primary:

        async def ask() -> None:
            answer = await session.send(primary.origin, GET)
            await answer.read(100)

        asking = asyncio.ensure_future(ask())
        await eventually(lambda: primary.seen)
        for _ in range(5):
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await eventually(lambda: not primary.is_open, 2)
        assert (held_connections(session), idle_connections(session)) == (0, 0)


async def test_cancelled_while_connecting(open_session: OpenSession) -> None:
    """Who is cancelled in the handshake of TLS leaves no connection either."""
    session = open_session(connect_timeout=60.0)
    async with peer(silent) as primary:
        asking = asyncio.ensure_future(
            session.send(primary.origin.__class__("https", *primary.address), GET)
        )
        await eventually(lambda: primary.connections)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await eventually(lambda: not primary.is_open, 2)


# --- the throughput floor -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notes", "broken_at"),
    [
        # (bytes, seconds waited for them) ...; which of them is too slow
        ([(1, 5.0)] * 20, 11),
        ([(1, 60.0)], 0),
        ([(0, 29.0)] * 3, 2),
        ([(61_440, 60.0)] * 5, None),
        ([(61_439, 60.0)], 0),
        ([(1 << 20, 0.1), (1, 59.8), (1, 59.8), (1, 59.8), (1, 59.8)], 4),
        ([(1 << 20, 60.0), (1, 59.9), (1, 0.2)], 2),
        ([(1, 0.0)] * 100_000, None),
        ([(1024, 1.0)] * 600, None),
        ([(1023, 1.0)] * 600, 59),
    ],
)
def test_pace_is_kept_window_by_window(
    notes: list[tuple[int, float]], broken_at: int | None
) -> None:
    """C22: below 1 KiB/s on average over a minute of waiting a transfer is broken off; a fast start
    buys no more than its own window, and time not spent waiting doesn't count.
    """
    pace = _Pace(Limits(minimum_rate=1024, rate_window=60.0))
    for index, (size, waited) in enumerate(notes):
        if index == broken_at:
            with pytest.raises(LinkBroken):
                pace.note(size, waited)
            return
        pace.note(size, waited)
    assert broken_at is None


async def test_drip_is_cut(open_session: OpenSession) -> None:
    """C22: bytes that come just often enough for every read timeout don't keep a transfer alive."""
    session = open_session(read_timeout=5.0, minimum_rate=10_000, rate_window=0.3)

    async def drip(call: Call) -> None:
        await call.head()
        await call.send(OK + b"Content-Length: 100000\r\n\r\n")
        while True:
            await call.send(b"x")
            await asyncio.sleep(0.02)

    started_at = time.monotonic()
    async with peer(drip) as primary:
        got, error = await received(session, primary)
        assert isinstance(error, LinkBroken)
        assert 0 < len(got) < 100
        assert 0.3 <= time.monotonic() - started_at < 4
        await eventually(lambda: not primary.is_open, 2)


async def test_slow_reader_is_not_a_slow_primary(open_session: OpenSession) -> None:
    """A reader that takes its time, longer than any limit, isn't taken for a slow link."""
    session = open_session(read_timeout=0.3, minimum_rate=1_000_000, rate_window=0.3)
    size = 3 << 20

    async def handle(call: Call) -> None:
        await call.head()
        await call.answer(200, b"a" * size)
        await call.rest()

    async with peer(handle) as primary:
        answer = await session.send(primary.origin, GET)
        got = 0
        async for chunk in answer.chunks():
            got += len(chunk)
            await asyncio.sleep(0.1)
        assert got == size
