"""Uploads: a body goes out when it is wanted, once, as long as it said, or its connection ends."""

import pytest

from proxy.net.session import Outgoing, Session
from proxy.net.upload import BodyNotAsked, UploadBody
from tests.net.peer import Call, peer
from tests.net.sessions import GET
from tests.net.uploading import (
    CONTINUE,
    CONTINUE_WAIT_SECONDS,
    WRITES,
    Source,
    nothing_comes,
    upload,
    willing,
)
from tests.support.waiting import eventually


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
    impatient: Session, chunks: tuple[bytes, ...], size: int | None
) -> None:
    """A body arrives whole, with its length where that is known, chunked where it isn't; the
    connection serves the next request.
    """
    bodies: list[bytes] = []
    async with peer(willing(bodies)) as primary:
        for _ in range(2):
            answer = await impatient.send(primary.origin, upload(Source(*chunks), size))
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


async def test_body_waits_to_be_asked_for(impatient: Session) -> None:
    """C12: nothing of a body is taken from the client or sent before the primary asks for it."""
    source = Source(b"hello")
    asked = False
    order: list[str] = []

    async def handle(call: Call) -> None:
        nonlocal asked
        request = await call.head()
        assert await nothing_comes(call, CONTINUE_WAIT_SECONDS / 2)
        assert (source.taken, order) == (0, [])
        asked = True
        await call.send(CONTINUE)
        order.append((await call.body(request)).decode())
        await call.answer(201)

    body = UploadBody(source(), 5, on_start=lambda: order.append(f"start, asked: {asked}"))
    async with peer(handle) as primary:
        request = Outgoing("PUT", "/", {}, body, is_continue_expected=True)
        await (await impatient.send(primary.origin, request)).drop()
    assert order == ["start, asked: True", "hello"]


@pytest.mark.parametrize("method", WRITES)
async def test_body_that_is_not_asked_for_is_sent_where_it_may(
    impatient: Session, method: str
) -> None:
    """A primary that knows no 100 gets the body after a moment, if the caller may push."""

    async def handle(call: Call) -> None:
        request = await call.head()
        assert await call.body(request) == b"hello"
        await call.answer(201)

    async with peer(handle) as primary:
        answer = await impatient.send(primary.origin, upload(Source(b"hello"), 5, method=method))
        await answer.drop()
        assert answer.status == 201
    assert primary.connections == 1


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("size", [5, None])
async def test_body_that_is_not_asked_for_is_kept_where_it_may_not(
    impatient: Session, method: str, size: int | None
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
            await impatient.send(primary.origin, request)
        await eventually(lambda: not primary.is_open, 2)
    assert (rests, source.taken, len(primary.seen)) == ([b""], 0, 1)


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("body", [b"", b"denied"])
async def test_early_refusal_leaves_the_body_alone(
    impatient: Session, method: str, body: bytes
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
        answer = await impatient.send(primary.origin, upload(source, 36, method=method))
        assert (answer.status, await answer.read(100)) == (401, body)
        await eventually(lambda: not primary.is_open, 2)
        await (await impatient.send(primary.origin, GET)).drop()
        assert primary.connections == 2
    assert source.taken == 0
    assert [request.target for request in primary.seen] == ["/upload", "/v2/"]


async def test_refusal_whose_words_come_slowly(impatient: Session) -> None:
    """A refusal that is still being read when the wait for a 100 ends doesn't start the body."""
    source = Source(b"hello")

    async def handle(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 413 No\r\nContent-Length: 6\r\n\r\nden")
        is_silent.append(await nothing_comes(call, 2 * CONTINUE_WAIT_SECONDS))
        await call.send(b"ied")
        await call.rest()

    is_silent: list[bool] = []
    async with peer(handle) as primary:
        answer = await impatient.send(primary.origin, upload(source, 5))
        assert (answer.status, await answer.read(100)) == (413, b"denied")
        await eventually(lambda: not primary.is_open, 2)
    assert (is_silent, source.taken) == ([True], 0)


async def test_refusal_in_the_middle_ends_the_body(impatient: Session) -> None:
    """Refused while its body is on the way, an upload stops; answer and connection end there."""
    source = Source(b"x" * 1000, 60.0, b"y" * 1000)

    async def handle(call: Call) -> None:
        await call.head()
        await call.send(CONTINUE)
        await call.reader.readexactly(1000)
        await call.answer(413, b"too large")
        await call.rest()

    async with peer(handle) as primary:
        answer = await impatient.send(primary.origin, upload(source, 2000))
        assert (answer.status, await answer.read(100)) == (413, b"too large")
        await eventually(lambda: not primary.is_open and source.is_ended, 2)
    assert source.taken == 1000
