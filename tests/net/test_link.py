"""The private link: which address is asked, in which order, and what an address has to do to be
left alone.
"""

import pytest

from proxy.net.breakers import FAILURES_TO_OPEN
from proxy.net.session import NotConnected
from proxy.net.upload import UploadBody
from proxy.oci.errors import Unavailable, UntrustedOrigin
from tests.net.linking import (
    OK,
    READS,
    WRITES,
    OpenLink,
    chunks,
    counts,
    link_to,
    refuse,
    reset_after_request,
    status_of,
)
from tests.net.peer import Call, Handler, answering, peer, polite
from tests.net.sessions import ManualClock, OpenSession


async def test_request_names_the_origin_and_us(open_link: OpenLink) -> None:
    """Every request carries the name that clients use, our entry in Via, and no expectation."""
    link, (primary,) = await open_link(polite)
    answer = await link.request("GET", "/v2/x", {"Accept": "a", "Via": "1.0 client"})
    assert await answer.read(100) == b"/v2/x"
    fields = primary.seen[0].fields
    assert fields.all("Host") == ["registry.example.com"]
    assert fields.all("Via") == ["1.1 proxima-test"]
    assert fields.all("Accept") == ["a"]
    assert "Expect" not in fields


async def test_only_uploads_expect_a_continue(open_link: OpenLink) -> None:
    """A form is sent at once; an upload waits to be asked for."""

    async def handle(call: Call) -> None:
        while True:
            request = await call.head()
            if request.expects_continue:
                await call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            await call.answer(200, await call.body(request))

    link, (primary,) = await open_link(handle)
    assert await (await link.request("POST", "/", {}, body=b"form")).read(9) == b"form"
    body = UploadBody(chunks(b"upload"), 6)
    assert await (await link.request("PUT", "/", {}, body=body)).read(9) == b"upload"
    assert [request.expects_continue for request in primary.seen] == [False, True]


@pytest.mark.parametrize("method", [*READS, *WRITES])
async def test_first_address_is_asked(open_link: OpenLink, method: str) -> None:
    """While the first address answers, no other is asked."""
    link, peers = await open_link(polite, polite)
    for _ in range(3):
        assert await status_of(link, method) == 200
    assert counts(peers) == [3, 0]


@pytest.mark.parametrize("method", [*READS, *WRITES])
async def test_refused_connection_goes_elsewhere(open_link: OpenLink, method: str) -> None:
    """Where no connection comes about nothing was sent: any request goes to the next address."""
    link, peers = await open_link(refuse, refuse, OK)
    assert await status_of(link, method) == 200
    assert counts(peers) == [0, 0, 1]


async def test_upload_goes_elsewhere_whole(open_link: OpenLink) -> None:
    """An upload whose first address refuses the connection arrives whole at the next."""
    bodies: list[bytes] = []

    async def handle(call: Call) -> None:
        request = await call.head()
        await call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        bodies.append(await call.body(request))
        await call.answer(201)

    link, _ = await open_link(refuse, handle)
    answer = await link.request("PATCH", "/", {}, body=UploadBody(chunks(b"he", b"llo"), 5))
    await answer.drop()
    assert (answer.status, bodies) == (201, [b"hello"])


@pytest.mark.parametrize("method", READS)
async def test_read_without_an_answer_goes_elsewhere(open_link: OpenLink, method: str) -> None:
    """A read that got no answer is asked again at the next address."""
    link, peers = await open_link(reset_after_request, OK)
    assert await status_of(link, method) == 200
    assert counts(peers)[1] == 1


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_write_without_an_answer_goes_nowhere_else(open_link: OpenLink, method: str) -> None:
    """What may have had an effect isn't sent to another address."""
    link, peers = await open_link(reset_after_request, OK)
    with pytest.raises(Unavailable):
        await status_of(link, method)
    assert peers[0].seen
    assert peers[1].connections == 0


@pytest.mark.parametrize("status", [502, 503, 504, 508])
@pytest.mark.parametrize("method", [*READS, *WRITES])
async def test_gateway_failure_sends_reads_elsewhere(
    open_link: OpenLink, method: str, status: int
) -> None:
    """A gateway that has nobody behind it isn't the primary: reads go on to the next address, the
    answer to a write is the client's.
    """
    link, peers = await open_link(answering(status), OK)
    is_read = method in READS
    assert await status_of(link, method) == (200 if is_read else status)
    assert counts(peers) == [1, int(is_read)]


@pytest.mark.parametrize("status", [200, 304, 307, 400, 401, 403, 404, 412, 416, 429, 451, 500])
async def test_answers_are_answers(open_link: OpenLink, status: int) -> None:
    """All other statuses are what the primary says: no second opinion is asked for."""
    link, peers = await open_link(answering(status), OK)
    assert await status_of(link) == status
    assert counts(peers) == [1, 0]


@pytest.mark.parametrize(
    ("handlers", "outcome"),
    [
        ((refuse, refuse), NotConnected),
        ((reset_after_request, refuse), NotConnected),
        ((refuse, reset_after_request), Unavailable),
        ((answering(502), answering(503)), 503),
        ((answering(503), answering(502)), 502),
        ((answering(503),), 503),
        ((refuse, answering(504)), 504),
        ((answering(504), refuse), NotConnected),
    ],
)
async def test_last_address_decides(
    open_link: OpenLink, handlers: tuple[Handler, ...], outcome: int | type[Exception]
) -> None:
    """Where no address answers, what the last one did is what is told."""
    link, _ = await open_link(*handlers)
    if isinstance(outcome, int):
        assert await status_of(link) == outcome
    else:
        with pytest.raises(outcome):
            await status_of(link)


async def test_untrusted_address_ends_it(open_session: OpenSession, clock: ManualClock) -> None:
    """C13: an address that may not be spoken to isn't passed over in silence, and is no failure of
    the primary.
    """
    async with peer(polite) as primary, peer(polite) as elsewhere:
        session = open_session(allowed=("127.0.0.2",))
        link = link_to(session, clock, primary.address, elsewhere.address)
        for _ in range(FAILURES_TO_OPEN + 1):
            with pytest.raises(UntrustedOrigin):
                await status_of(link)
    assert (primary.connections, elsewhere.connections) == (0, 0)
