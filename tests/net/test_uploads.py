"""Uploads: a body goes out when it is wanted, once, as long as it said, or its connection ends."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from proxy.net.session import NotConnected, Outgoing, Session
from proxy.net.upload import BodyNotAsked, UploadBody
from proxy.oci.errors import NameInvalid, SizeInvalid, Unavailable
from tests.net.conftest import OpenSession, held_connections, idle_connections
from tests.net.peer import Call, Handler, peer, silent
from tests.support.waiting import eventually

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
GET = Outgoing("GET", "/", {})
WAIT = 0.1
READ_TIMEOUT = 0.4
WRITES = ("PATCH", "PUT", "POST")


class Source:
    """An upload's bytes, and what became of them. An exception among the chunks is raised."""

    def __init__(self, *chunks: bytes | Exception | float) -> None:
        self._chunks = chunks
        self.taken = 0
        self.is_ended = False

    async def __call__(self) -> AsyncGenerator[bytes]:
        try:
            for chunk in self._chunks:
                match chunk:
                    case bytes():
                        self.taken += len(chunk)
                        yield chunk
                    case float():
                        await asyncio.sleep(chunk)
                    case _:
                        raise chunk
        finally:
            self.is_ended = True


def upload(
    source: Source, size: int | None, *, method: str = "PATCH", may_send_unasked: bool = True
) -> Outgoing:

    async def may_send() -> bool:
        return may_send_unasked

    body = UploadBody(source(), size, may_send_unasked=may_send)
    return Outgoing(method, "/upload", {}, body, is_continue_expected=True)


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits a whole second for a 100 here."""
    monkeypatch.setattr("proxy.net.request.CONTINUE_WAIT_SECONDS", WAIT)
    monkeypatch.setattr("proxy.net.upload.ANSWER_WAIT_SECONDS", WAIT)


@pytest.fixture
async def session(open_session: OpenSession) -> Session:
    """A session that waits 0.4 s for the other side's next step."""
    return open_session(read_timeout=READ_TIMEOUT)


def willing(bodies: list[bytes]) -> Handler:
    """Give a handler that asks for every body, and notes it."""

    async def handle(call: Call) -> None:
        while True:
            request = await call.head()
            if request.expects_continue:
                await call.send(CONTINUE)
            bodies.append(await call.body(request))
            await call.answer(201)

    return handle


async def nothing_comes(call: Call, seconds: float) -> bool:
    """Say whether no byte comes for a while."""
    try:
        async with asyncio.timeout(seconds):
            return not await call.reader.read(1)
    except TimeoutError:
        return True


# --- asked for ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunks", "size"),
    [
        ((b"hello",), 5),
        ((b"he", b"", b"llo"), 5),
        ((b"hello",), None),
        ((b"he", b"llo"), None),
        ((), 0),
        ((), None),
        ((b"x" * 300_000,) * 20, 6_000_000),
        ((b"x" * 300_000,) * 20, None),
    ],
)
async def test_body_arrives_as_it_is(
    session: Session, chunks: tuple[bytes, ...], size: int | None
) -> None:
    """A body arrives whole, with its length where that is known, chunked where it isn't; the
    connection serves the next request.
    """
    bodies: list[bytes] = []
    async with peer(willing(bodies)) as primary:
        for _ in range(2):
            answer = await session.send(primary.origin, upload(Source(*chunks), size))
            await answer.drop()
            assert answer.status == 201
    assert bodies == [b"".join(chunks)] * 2
    for request in primary.seen:
        expected = ([str(size)], []) if size is not None else ([], ["chunked"])
        fields = request.fields
        assert (fields.all("Content-Length"), fields.all("Transfer-Encoding")) == expected
        assert request.expects_continue
    if size != 0:  # an empty body may be answered before aiohttp sees that it was asked for
        assert primary.connections == 1


async def test_body_waits_to_be_asked_for(session: Session) -> None:
    """C12: nothing of a body is taken from the client or sent before the primary asks for it."""
    source = Source(b"hello")
    asked = False
    order: list[str] = []

    async def handle(call: Call) -> None:
        nonlocal asked
        request = await call.head()
        assert await nothing_comes(call, WAIT / 2)
        assert (source.taken, order) == (0, [])
        asked = True
        await call.send(CONTINUE)
        order.append((await call.body(request)).decode())
        await call.answer(201)

    body = UploadBody(source(), 5, on_start=lambda: order.append(f"start, asked: {asked}"))
    async with peer(handle) as primary:
        request = Outgoing("PUT", "/", {}, body, is_continue_expected=True)
        await (await session.send(primary.origin, request)).drop()
    assert order == ["start, asked: True", "hello"]


@pytest.mark.parametrize("method", WRITES)
async def test_body_that_is_not_asked_for_is_sent_where_it_may(
    session: Session, method: str
) -> None:
    """A primary that knows no 100 gets the body after a moment, if the caller may push."""

    async def handle(call: Call) -> None:
        request = await call.head()
        assert await call.body(request) == b"hello"
        await call.answer(201)

    async with peer(handle) as primary:
        answer = await session.send(primary.origin, upload(Source(b"hello"), 5, method=method))
        await answer.drop()
        assert answer.status == 201
    assert primary.connections == 1


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("size", [5, None])
async def test_body_that_is_not_asked_for_is_kept_where_it_may_not(
    session: Session, method: str, size: int | None
) -> None:
    """C12: without a 100 and without a right to push no byte is taken or sent; the request is made
    once, and its connection ends.
    """
    source = Source(b"hello")
    rests: list[bytes] = []

    async def handle(call: Call) -> None:
        await call.head()
        rests.append(await call.rest())

    async with peer(handle) as primary:
        request = upload(source, size, method=method, may_send_unasked=False)
        with pytest.raises(BodyNotAsked):
            await session.send(primary.origin, request)
        await eventually(lambda: not primary.is_open, 2)
    assert (rests, source.taken, len(primary.seen)) == ([b""], 0, 1)


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("body", [b"", b"denied"])
async def test_early_refusal_leaves_the_body_alone(
    session: Session, method: str, body: bytes
) -> None:
    """C12: refused before its body was asked for, an upload isn't taken at all. What follows on
    that connection would be read as the body (C10), so the next request takes another.
    """
    source = Source(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")

    async def handle(call: Call) -> None:
        while True:
            await call.head()
            await call.answer(401, body)

    async with peer(handle) as primary:
        answer = await session.send(primary.origin, upload(source, 36, method=method))
        assert (answer.status, await answer.read(100)) == (401, body)
        await eventually(lambda: not primary.is_open, 2)
        await (await session.send(primary.origin, GET)).drop()
        assert primary.connections == 2
    assert source.taken == 0
    assert [request.target for request in primary.seen] == ["/upload", "/"]


async def test_refusal_whose_words_come_slowly(session: Session) -> None:
    """A refusal that is still being read when the wait for a 100 ends doesn't start the body."""
    source = Source(b"hello")

    async def handle(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 413 No\r\nContent-Length: 6\r\n\r\nden")
        is_silent.append(await nothing_comes(call, 2 * WAIT))
        await call.send(b"ied")
        await call.rest()

    is_silent: list[bool] = []
    async with peer(handle) as primary:
        answer = await session.send(primary.origin, upload(source, 5))
        assert (answer.status, await answer.read(100)) == (413, b"denied")
        await eventually(lambda: not primary.is_open, 2)
    assert (is_silent, source.taken) == ([True], 0)


async def test_refusal_in_the_middle_ends_the_body(session: Session) -> None:
    """Refused while its body is on the way, an upload stops; answer and connection end there."""
    source = Source(b"x" * 1000, 60.0, b"y" * 1000)

    async def handle(call: Call) -> None:
        await call.head()
        await call.send(CONTINUE)
        await call.reader.readexactly(1000)
        await call.answer(413, b"too large")
        await call.rest()

    async with peer(handle) as primary:
        answer = await session.send(primary.origin, upload(source, 2000))
        assert (answer.status, await answer.read(100)) == (413, b"too large")
        await eventually(lambda: not primary.is_open and source.is_ended, 2)
    assert source.taken == 1000


# --- broken ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("size", [600_000, None])
async def test_broken_body_is_never_sent_again(
    session: Session, method: str, size: int | None
) -> None:
    """A connection that breaks under a body ends the request: the rest of a body on a second
    connection, complete in form, would be taken for the whole.
    """
    source = Source(b"x" * 1000, 0.05, b"y" * 299_000, b"z" * 300_000)
    bodies: list[bytes] = []

    async def handle(call: Call) -> None:
        request = await call.head()
        await call.send(CONTINUE)
        if call.number == 1:
            await call.reader.read(1000)
            call.reset()
            return
        bodies.append(await call.body(request))
        await call.answer(201)

    async with peer(handle) as primary:
        with pytest.raises(Unavailable):
            await session.send(primary.origin, upload(source, size, method=method))
        await eventually(lambda: source.is_ended, 2)
    assert (primary.connections, bodies) == (1, [])


async def test_untouched_body_may_go_again(session: Session) -> None:
    """A kept connection that ended unnoticed costs a PUT nothing, as long as its body is whole."""
    bodies: list[bytes] = []

    async def handle(call: Call) -> None:
        await call.head()
        if call.number == 1:
            await call.answer()
            await call.head()
            call.reset()
            return
        await call.send(CONTINUE)
        bodies.append(await call.body(primary.seen[-1]))
        await call.answer(201)

    async with peer(handle) as primary:
        await (await session.send(primary.origin, GET)).drop()
        await (await session.send(primary.origin, upload(Source(b"hello"), 5, method="PUT"))).drop()
    assert (bodies, primary.connections) == ([b"hello"], 2)


@pytest.mark.parametrize(
    "failure",
    [TimeoutError(), ConnectionResetError("gone"), OSError(5, "x"), ValueError("x"), NameInvalid()],
    ids=lambda failure: type(failure).__name__,
)
@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("size", [10, None])
async def test_failing_source_is_told_as_such(
    session: Session, failure: Exception, method: str, size: int | None
) -> None:
    """What goes wrong on the client's side isn't told as the primary's, and the body isn't ended in
    form: nobody can take the half for the whole.
    """
    rests: list[bytes] = []

    async def handle(call: Call) -> None:
        await call.head()
        await call.send(CONTINUE)
        rests.append(await call.rest())

    source = Source(b"hello", failure)
    async with peer(handle) as primary:
        with pytest.raises(type(failure)) as raised:
            await session.send(primary.origin, upload(source, size, method=method))
        assert raised.value is failure
        await eventually(lambda: not primary.is_open, 2)
    assert rests == [b"hello" if size else b"5\r\nhello\r\n"]
    assert primary.connections == 1


async def test_failure_before_the_first_byte(session: Session) -> None:
    """A client that is gone when its body is asked for is told as such."""

    def gone() -> None:
        raise ConnectionResetError("gone")

    source = Source(b"hello")
    body = UploadBody(source(), 5, on_start=gone)
    async with peer(willing([])) as primary:
        with pytest.raises(ConnectionResetError):
            await session.send(
                primary.origin, Outgoing("PUT", "/", {}, body, is_continue_expected=True)
            )
    assert source.taken == 0


@pytest.mark.parametrize(
    "chunks", [(b"hell",), (b"hello", b"!"), (b"hello!",), (), (b"x" * 100_000,)]
)
async def test_body_of_another_length_is_cut(session: Session, chunks: tuple[bytes, ...]) -> None:
    """C10: a body shorter or longer than it said never reaches the primary as one: not a byte too
    many is sent, and the connection ends.
    """
    rests: list[bytes] = []

    async def handle(call: Call) -> None:
        await call.head()
        await call.send(CONTINUE)
        rests.append(await call.rest())

    async with peer(handle) as primary:
        with pytest.raises(SizeInvalid):
            await session.send(primary.origin, upload(Source(*chunks), 5, method="PUT"))
        await eventually(lambda: not primary.is_open, 2)
    assert primary.connections == 1
    assert len(rests[0]) <= 5
    assert b"".join(chunks).startswith(rests[0])


# --- slow -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64 << 20, None])
async def test_primary_that_stops_reading(session: Session, size: int | None) -> None:
    """C27: an upload takes from the client no more than the primary takes from it; one that takes
    nothing any more is given up after the read timeout.
    """
    source = Source(*[b"x" * (1 << 20)] * 64)
    is_over = asyncio.Event()

    async def handle(call: Call) -> None:
        call.take_in_sips()
        await call.head()
        await call.send(CONTINUE)
        await is_over.wait()

    async with peer(handle) as primary:
        with pytest.raises(Unavailable) as raised:
            await session.send(primary.origin, upload(source, size))
        is_over.set()
        assert not isinstance(raised.value, (NotConnected, BodyNotAsked))
        await eventually(lambda: source.is_ended, 2)
    assert 0 < source.taken < 32 << 20


async def test_slow_client_is_not_a_stalled_primary(session: Session) -> None:
    """Time that the client takes for its next bytes isn't counted against the primary."""
    bodies: list[bytes] = []
    pause = 1.5 * READ_TIMEOUT
    async with peer(willing(bodies)) as primary:
        source = Source(pause, b"he", pause, b"llo", pause)
        answer = await session.send(primary.origin, upload(source, 5))
        await answer.drop()
        assert (answer.status, bodies) == (201, [b"hello"])


async def test_long_upload_is_no_stall(session: Session) -> None:
    """An upload may take as long as it likes while the primary goes on reading."""
    size = 24 << 20
    read = 0

    async def handle(call: Call) -> None:
        nonlocal read
        call.take_in_sips()
        await call.head()
        await call.send(CONTINUE)
        while read < size:
            read += len(await call.reader.readexactly(1 << 20))
            await asyncio.sleep(0.05)
        await call.answer(201)

    async with peer(handle) as primary:
        source = Source(*[b"x" * (1 << 20)] * 24)
        started_at = asyncio.get_running_loop().time()
        answer = await session.send(primary.origin, upload(source, size))
        await answer.drop()
        assert answer.status == 201
        assert asyncio.get_running_loop().time() - started_at > 2 * READ_TIMEOUT


@pytest.mark.parametrize("interim", [b"", CONTINUE], ids=["nothing", "a late 100"])
async def test_answer_that_does_not_come(session: Session, interim: bytes) -> None:
    """A primary that took the body and says nothing more is given up, also after a 100 that came
    when the body was already there.
    """

    async def handle(call: Call) -> None:
        await call.body(await call.head())
        await call.send(interim)
        await call.rest()

    async with peer(handle) as primary:
        with pytest.raises(Unavailable):
            await session.send(primary.origin, upload(Source(b"hello"), 5))
        await eventually(lambda: not primary.is_open, 2)


# --- cancelled ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["before the 100", "in the body", "before the answer"])
async def test_cancelled_upload_ends(open_session: OpenSession, stage: str) -> None:
    """A cancelled upload ends its source, its connection and its task, wherever it stood."""
    session = open_session(read_timeout=60.0)
    is_there = asyncio.Event()

    async def handle(call: Call) -> None:
        await call.head()
        if stage != "before the 100":
            await call.send(CONTINUE)
            await call.reader.readexactly(5)
        is_there.set()
        await call.rest()

    source = Source(b"hello") if stage == "before the answer" else Source(b"hello", 60.0, b"!")
    size = 5 if stage == "before the answer" else 6
    async with peer(handle) as primary:
        sending = asyncio.ensure_future(session.send(primary.origin, upload(source, size)))
        await is_there.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await eventually(lambda: not primary.is_open, 2)
        assert (held_connections(session), idle_connections(session)) == (0, 0)
        if stage == "in the body":
            await eventually(lambda: source.is_ended, 2)


async def test_nothing_is_taken_without_a_connection(session: Session) -> None:
    """A body whose connection doesn't come about is whole: it may go another way."""
    async with peer(silent) as primary:
        pass
    source = Source(b"hello")
    request = upload(source, 5)
    with pytest.raises(NotConnected):
        await session.send(primary.origin, request)
    assert source.taken == 0
    bodies: list[bytes] = []
    async with peer(willing(bodies)) as other:
        await (await session.send(other.origin, request)).drop()
    assert bodies == [b"hello"]
