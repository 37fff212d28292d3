"""Uploads that break, stall or are cancelled: told as what they are, never sent a second time."""

import asyncio

import pytest

from proxy.net.session import NotConnected, Outgoing, Session
from proxy.net.upload import BodyNotAsked, UploadBody
from proxy.oci.errors import NameInvalid, SizeInvalid, Unavailable
from tests.net.peer import Call, peer, silent
from tests.net.sessions import GET, OpenSession, held_connections, idle_connections
from tests.net.uploading import CONTINUE, READ_TIMEOUT, WRITES, Source, upload, willing
from tests.support.waiting import eventually


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("size", [600_000, None])
async def test_broken_body_is_never_sent_again(
    impatient: Session, method: str, size: int | None
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
            await impatient.send(primary.origin, upload(source, size, method=method))
        await eventually(lambda: source.is_ended, 2)
    assert (primary.connections, bodies) == (1, [])


async def test_untouched_body_may_go_again(impatient: Session) -> None:
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
        await (await impatient.send(primary.origin, GET)).drop()
        await (
            await impatient.send(primary.origin, upload(Source(b"hello"), 5, method="PUT"))
        ).drop()
    assert (bodies, primary.connections) == ([b"hello"], 2)


@pytest.mark.parametrize(
    "failure",
    [TimeoutError(), ConnectionResetError("gone"), OSError(5, "x"), ValueError("x"), NameInvalid()],
    ids=lambda failure: type(failure).__name__,
)
@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("size", [10, None])
async def test_failing_source_is_told_as_such(
    impatient: Session, failure: Exception, method: str, size: int | None
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
            await impatient.send(primary.origin, upload(source, size, method=method))
        assert raised.value is failure
        await eventually(lambda: not primary.is_open, 2)
    assert rests == [b"hello" if size else b"5\r\nhello\r\n"]
    assert primary.connections == 1


async def test_failure_before_the_first_byte(impatient: Session) -> None:
    """A client that is gone when its body is asked for is told as such."""

    def gone() -> None:
        raise ConnectionResetError("gone")

    source = Source(b"hello")
    body = UploadBody(source(), 5, on_start=gone)
    async with peer(willing([])) as primary:
        with pytest.raises(ConnectionResetError):
            await impatient.send(
                primary.origin, Outgoing("PUT", "/", {}, body, is_continue_expected=True)
            )
    assert source.taken == 0


@pytest.mark.parametrize(
    "chunks", [(b"hell",), (b"hello", b"!"), (b"hello!",), (), (b"x" * 100_000,)]
)
async def test_body_of_another_length_is_cut(impatient: Session, chunks: tuple[bytes, ...]) -> None:
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
            await impatient.send(primary.origin, upload(Source(*chunks), 5, method="PUT"))
        await eventually(lambda: not primary.is_open, 2)
    assert primary.connections == 1
    assert len(rests[0]) <= 5
    assert b"".join(chunks).startswith(rests[0])


@pytest.mark.parametrize("size", [64 << 20, None])
async def test_primary_that_stops_reading(impatient: Session, size: int | None) -> None:
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
            await impatient.send(primary.origin, upload(source, size))
        is_over.set()
        assert not isinstance(raised.value, (NotConnected, BodyNotAsked))
        await eventually(lambda: source.is_ended, 2)
    assert 0 < source.taken < 32 << 20


async def test_slow_client_is_not_a_stalled_primary(impatient: Session) -> None:
    """Time that the client takes for its next bytes isn't counted against the primary."""
    bodies: list[bytes] = []
    pause = 1.5 * READ_TIMEOUT
    async with peer(willing(bodies)) as primary:
        source = Source(pause, b"he", pause, b"llo", pause)
        answer = await impatient.send(primary.origin, upload(source, 5))
        await answer.drop()
        assert (answer.status, bodies) == (201, [b"hello"])


async def test_long_upload_is_no_stall(impatient: Session) -> None:
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
        answer = await impatient.send(primary.origin, upload(source, size))
        await answer.drop()
        assert answer.status == 201
        assert asyncio.get_running_loop().time() - started_at > 2 * READ_TIMEOUT


@pytest.mark.parametrize("interim", [b"", CONTINUE], ids=["nothing", "a late 100"])
async def test_answer_that_does_not_come(impatient: Session, interim: bytes) -> None:
    """A primary that took the body and says nothing more is given up, also after a 100 that came
    when the body was already there.
    """

    async def handle(call: Call) -> None:
        await call.body(await call.head())
        await call.send(interim)
        await call.rest()

    async with peer(handle) as primary:
        with pytest.raises(Unavailable):
            await impatient.send(primary.origin, upload(Source(b"hello"), 5))
        await eventually(lambda: not primary.is_open, 2)


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


async def test_nothing_is_taken_without_a_connection(impatient: Session) -> None:
    """A body whose connection doesn't come about is whole: it may go another way."""
    async with peer(silent) as primary:
        pass
    source = Source(b"hello")
    request = upload(source, 5)
    with pytest.raises(NotConnected):
        await impatient.send(primary.origin, request)
    assert source.taken == 0
    bodies: list[bytes] = []
    async with peer(willing(bodies)) as other:
        await (await impatient.send(other.origin, request)).drop()
    assert bodies == [b"hello"]
