"""The private link: which address is asked, in which order, and what an address has to do to be
left alone.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from proxy.net.breakers import FAILURES_TO_OPEN, PROBE_EVERY_SECONDS, BreakerState
from proxy.net.link import MAX_REMEMBERED_ADDRESSES, Address, PrivateLink
from proxy.net.origins import Origin
from proxy.net.session import NotConnected, Session
from proxy.net.upload import BodyNotAsked, UploadBody
from proxy.oci.errors import Unavailable, UntrustedOrigin
from tests.net.conftest import ManualClock, OpenSession
from tests.net.peer import Call, Handler, Peer, answering, peer, polite, silent
from tests.support.waiting import eventually

ORIGIN = Origin("http", "registry.example.com", 80)
READS = ("GET", "HEAD")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
OK = answering(200, b"second")


async def refuse(call: Call) -> None:
    """Stands for an address on which nobody listens."""
    raise AssertionError


async def reset_after_request(call: Call) -> None:
    await call.head()
    call.reset()


class Lookup:
    """A name's addresses, as the test says; an OSError is raised."""

    def __init__(self, *answers: list[str] | OSError, ttl_seconds: int = 30) -> None:
        self.answers = list(answers)
        self.ttl_seconds = ttl_seconds
        self.asked = 0

    async def __call__(self, host: str) -> tuple[list[str], int]:
        assert host == ORIGIN.host
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(0)
        if isinstance(answer, OSError):
            raise answer
        return answer, self.ttl_seconds


Opened = Callable[..., Awaitable[tuple[PrivateLink, list[Peer]]]]


@pytest.fixture
async def opened(session: Session, clock: ManualClock) -> AsyncIterator[Opened]:
    """Gives a function that opens peers and a link to them, in this order."""
    async with AsyncExitStack() as stack:

        async def open_link(*handlers: Handler) -> tuple[PrivateLink, list[Peer]]:
            peers: list[Peer] = []
            for handler in handlers:
                async with AsyncExitStack() as opening:
                    peers.append(await opening.enter_async_context(peer(handler)))
                    if handler is not refuse:
                        stack.push_async_callback(opening.pop_all().aclose)
            addresses = tuple(each.address for each in peers)
            return link_to(session, clock, *addresses), peers

        yield open_link


def link_to(
    session: Session, clock: ManualClock, *addresses: Address, lookup: Lookup | None = None
) -> PrivateLink:
    return PrivateLink(
        session,
        ORIGIN,
        connect_to=addresses,
        lookup=lookup or Lookup(OSError("no name server")),
        via="1.1 proxima-test",
        clock=clock,
    )


async def status_of(link: PrivateLink, method: str = "GET") -> int:
    answer = await link.request(method, "/v2/", {})
    await answer.drop()
    return answer.status


def counts(peers: list[Peer]) -> list[int]:
    """How many requests came to each peer."""
    return [len(each.seen) for each in peers]


# --- the request ----------------------------------------------------------------------------------


async def test_request_names_the_origin_and_us(opened: Opened) -> None:
    """Every request carries the name that clients use, our entry in Via, and no expectation."""
    link, (primary,) = await opened(polite)
    answer = await link.request("GET", "/v2/x", {"Accept": "a", "Via": "1.0 client"})
    assert await answer.read(100) == b"/v2/x"
    fields = primary.seen[0].fields
    assert fields.all("Host") == ["registry.example.com"]
    assert fields.all("Via") == ["1.1 proxima-test"]
    assert fields.all("Accept") == ["a"]
    assert "Expect" not in fields


async def test_only_uploads_expect_a_continue(opened: Opened) -> None:
    """A form is sent at once; an upload waits to be asked for."""

    async def handle(call: Call) -> None:
        while True:
            request = await call.head()
            if request.expects_continue:
                await call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            await call.answer(200, await call.body(request))

    link, (primary,) = await opened(handle)
    assert await (await link.request("POST", "/", {}, body=b"form")).read(9) == b"form"
    body = UploadBody(chunks(b"upload"), 6)
    assert await (await link.request("PUT", "/", {}, body=body)).read(9) == b"upload"
    assert [request.expects_continue for request in primary.seen] == [False, True]


async def chunks(*parts: bytes) -> AsyncGenerator[bytes]:
    for part in parts:
        yield part


# --- which address --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*READS, *WRITES])
async def test_first_address_is_asked(opened: Opened, method: str) -> None:
    """While the first address answers, no other is asked."""
    link, peers = await opened(polite, polite)
    for _ in range(3):
        assert await status_of(link, method) == 200
    assert counts(peers) == [3, 0]


@pytest.mark.parametrize("method", [*READS, *WRITES])
async def test_refused_connection_goes_elsewhere(opened: Opened, method: str) -> None:
    """Where no connection comes about nothing was sent: any request goes to the next address."""
    link, peers = await opened(refuse, refuse, OK)
    assert await status_of(link, method) == 200
    assert counts(peers) == [0, 0, 1]


async def test_upload_goes_elsewhere_whole(opened: Opened) -> None:
    """An upload whose first address refuses the connection arrives whole at the next."""
    bodies: list[bytes] = []

    async def handle(call: Call) -> None:
        request = await call.head()
        await call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        bodies.append(await call.body(request))
        await call.answer(201)

    link, _ = await opened(refuse, handle)
    answer = await link.request("PATCH", "/", {}, body=UploadBody(chunks(b"he", b"llo"), 5))
    await answer.drop()
    assert (answer.status, bodies) == (201, [b"hello"])


@pytest.mark.parametrize("method", READS)
async def test_read_without_an_answer_goes_elsewhere(opened: Opened, method: str) -> None:
    """A read that got no answer is asked again at the next address."""
    link, peers = await opened(reset_after_request, OK)
    assert await status_of(link, method) == 200
    assert counts(peers)[1] == 1


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_write_without_an_answer_goes_nowhere_else(opened: Opened, method: str) -> None:
    """What may have had an effect isn't sent to another address."""
    link, peers = await opened(reset_after_request, OK)
    with pytest.raises(Unavailable):
        await status_of(link, method)
    assert peers[0].seen
    assert peers[1].connections == 0


@pytest.mark.parametrize("status", [502, 503, 504, 508])
@pytest.mark.parametrize("method", [*READS, *WRITES])
async def test_gateway_failure_sends_reads_elsewhere(
    opened: Opened, method: str, status: int
) -> None:
    """A gateway that has nobody behind it isn't the primary: reads go on to the next address, the
    answer to a write is the client's.
    """
    link, peers = await opened(answering(status), OK)
    is_read = method in READS
    assert await status_of(link, method) == (200 if is_read else status)
    assert counts(peers) == [1, int(is_read)]


@pytest.mark.parametrize("status", [200, 304, 307, 400, 401, 403, 404, 412, 416, 429, 451, 500])
async def test_answers_are_answers(opened: Opened, status: int) -> None:
    """All other statuses are what the primary says: no second opinion is asked for."""
    link, peers = await opened(answering(status), OK)
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
    opened: Opened, handlers: tuple[Handler, ...], outcome: int | type[Exception]
) -> None:
    """Where no address answers, what the last one did is what is told."""
    link, _ = await opened(*handlers)
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


# --- breakers -------------------------------------------------------------------------------------


async def test_sick_address_is_left_alone(opened: Opened, clock: ManualClock) -> None:
    """C22: after five failures an address isn't asked for ten seconds; then one request probes it,
    and its answer brings the address back.
    """
    is_sick = True

    async def sometimes(call: Call) -> None:
        while True:
            await call.head()
            if is_sick:
                call.reset()
                return
            await call.answer(200)

    link, peers = await opened(sometimes, OK)
    for _ in range(FAILURES_TO_OPEN):
        assert await status_of(link) == 200
    tried = peers[0].connections
    for _ in range(3):
        assert await status_of(link) == 200
    assert peers[0].connections == tried
    clock.now += PROBE_EVERY_SECONDS
    assert await status_of(link) == 200
    assert peers[0].connections > tried
    is_sick = False
    answered = len(peers[1].seen)
    clock.now += PROBE_EVERY_SECONDS
    for _ in range(3):
        assert await status_of(link) == 200
    assert len(peers[1].seen) == answered
    assert set(link.breaker_states().values()) == {BreakerState.CLOSED}


async def test_all_addresses_sick_is_told_at_once(opened: Opened, clock: ManualClock) -> None:
    """C22: with every breaker open it is told at once, with the time until the next try."""
    link, peers = await opened(refuse, refuse)
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(NotConnected):
            await status_of(link)
    assert set(link.breaker_states().values()) == {BreakerState.OPEN}
    for method in (*READS, *WRITES):
        with pytest.raises(Unavailable) as raised:
            await status_of(link, method)
        assert not isinstance(raised.value, NotConnected)
        assert raised.value.retry_after_seconds == PROBE_EVERY_SECONDS
    async with peer(polite, port=peers[1].port) as recovered:
        clock.now += PROBE_EVERY_SECONDS
        assert await status_of(link) == 200
        assert recovered.connections == 1


async def test_probe_that_is_not_needed_is_kept(opened: Opened, clock: ManualClock) -> None:
    """A request that the first address answers doesn't use up the probe of the second: when the
    first fails later, the second, healthy again, is asked at once.
    """
    first_is_well = True

    async def first(call: Call) -> None:
        while True:
            await call.head()
            if not first_is_well:
                call.reset()
                return
            await call.answer(200)

    link, peers = await opened(first, refuse)
    for _ in range(FAILURES_TO_OPEN):
        first_is_well = False
        with pytest.raises(Unavailable):
            await status_of(link)
        first_is_well = True
        assert await status_of(link) == 200
    assert list(link.breaker_states().values())[1] is BreakerState.OPEN
    async with peer(polite, port=peers[1].port) as second:
        clock.now += PROBE_EVERY_SECONDS
        assert await status_of(link) == 200
        assert second.connections == 0
        first_is_well = False
        assert await status_of(link) == 200
        assert second.connections == 1


async def test_breaker_counts_the_primary_not_its_clients(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that break off their uploads, or may not push where nobody asks for the body, don't
    make the primary sick: one `docker push` that is interrupted ends five uploads at once.
    """
    monkeypatch.setattr("proxy.net.request.CONTINUE_WAIT_SECONDS", 0.02)

    async def handle(call: Call) -> None:
        while True:
            request = await call.head()
            if request.target == "/asked":
                await call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            if request.expects_continue:
                await call.rest()
            await call.answer(200)

    async def broken() -> AsyncGenerator[bytes]:
        yield b"hello"
        raise ConnectionResetError("gone")

    async def may_not() -> bool:
        return False

    link, _ = await opened(handle)
    for _ in range(FAILURES_TO_OPEN + 1):
        with pytest.raises(ConnectionResetError):
            await link.request("PATCH", "/asked", {}, body=UploadBody(broken(), 10))
        body = UploadBody(chunks(b"a"), 1, may_send_unasked=may_not)
        with pytest.raises(BodyNotAsked):
            await link.request("PATCH", "/unasked", {}, body=body)
    assert set(link.breaker_states().values()) == {BreakerState.CLOSED}
    assert await status_of(link) == 200


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_any_answer_counts_as_well(opened: Opened, status: int) -> None:
    """An address that answers, whatever it says, works."""
    link, _ = await opened(answering(status))
    for _ in range(FAILURES_TO_OPEN + 1):
        assert await status_of(link) == status
    assert set(link.breaker_states().values()) == {BreakerState.CLOSED}


async def test_cancelled_requests_are_no_failures(opened: Opened) -> None:
    """Clients that leave while the primary thinks don't make it sick."""
    link, (primary,) = await opened(silent)
    for number in range(1, FAILURES_TO_OPEN + 2):
        asking = asyncio.ensure_future(status_of(link))
        await eventually(lambda: primary.connections == number)  # noqa: B023
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert set(link.breaker_states().values()) == {BreakerState.CLOSED}


async def test_remembered_addresses_are_bounded(session: Session, clock: ManualClock) -> None:
    """A name whose addresses change for ever doesn't fill the memory with breakers."""
    answers = [[f"127.1.{number}.{each}" for each in range(5)] for number in range(40)]
    link = link_to(session, clock, lookup=Lookup(*answers, ttl_seconds=1))
    for _ in answers:
        with pytest.raises((Unavailable, UntrustedOrigin)):
            await status_of(link)
        clock.now += 2
    assert 0 < len(link.breaker_states()) <= MAX_REMEMBERED_ADDRESSES


# --- breaks of transfers --------------------------------------------------------------------------


async def test_break_moves_to_the_next_address(opened: Opened) -> None:
    """After a transfer broke the next request starts on another address, and goes on there."""
    link, peers = await opened(polite, polite, polite)
    for _ in range(4):
        await status_of(link)
        link.note_break()
    await status_of(link)
    assert counts(peers) == [2, 2, 1]


async def test_breaks_at_once_move_once(opened: Opened) -> None:
    """Many transfers that break together leave the address they broke on, not the one after it."""
    link, peers = await opened(polite, polite)
    await status_of(link)
    for _ in range(16):
        link.note_break()
    for _ in range(3):
        await status_of(link)
    assert counts(peers) == [1, 3]


async def test_break_of_the_second_address(opened: Opened) -> None:
    """A transfer that broke on the second address, since the first is sick, goes to the third."""
    link, peers = await opened(refuse, polite, polite)
    assert await status_of(link) == 200
    link.note_break()
    assert await status_of(link) == 200
    assert counts(peers) == [0, 1, 1]


async def test_break_with_one_address_or_none(opened: Opened, session: Session) -> None:
    """There is nothing to turn where there is one address, or none was asked yet."""
    link, (primary,) = await opened(polite)
    link.note_break()
    await status_of(link)
    link.note_break()
    link.note_break()
    await status_of(link)
    assert len(primary.seen) == 2


async def test_break_turns_resolved_addresses(session: Session, clock: ManualClock) -> None:
    """Addresses from DNS take turns as well."""
    link = link_to(session, clock, lookup=Lookup(["127.0.0.1", "127.0.0.2"]))
    assert await link.addresses() == (("127.0.0.1", 80), ("127.0.0.2", 80))
    link._answered = ("127.0.0.1", 80)
    link.note_break()
    assert await link.addresses() == (("127.0.0.2", 80), ("127.0.0.1", 80))


# --- names ----------------------------------------------------------------------------------------


async def test_name_is_looked_up_once_in_its_time(session: Session, clock: ManualClock) -> None:
    """A name's addresses are kept as long as DNS says, with the origin's port."""
    lookup = Lookup(["10.0.0.1"], ["10.0.0.2", "fd00::1"], ttl_seconds=30)
    link = link_to(session, clock, lookup=lookup)
    for _ in range(3):
        assert await link.addresses() == (("10.0.0.1", 80),)
    clock.now += 29.9
    assert await link.addresses() == (("10.0.0.1", 80),)
    assert lookup.asked == 1
    clock.now += 0.1
    assert await link.addresses() == (("10.0.0.2", 80), ("fd00::1", 80))
    assert lookup.asked == 2


@pytest.mark.parametrize("failure", [OSError("no name server"), []], ids=["error", "no address"])
async def test_last_answer_outlives_dns(
    session: Session, clock: ManualClock, failure: list[str] | OSError
) -> None:
    """In an outage of DNS the last answer stays in use, and not every request waits for DNS; when
    DNS is back, so is its answer.
    """
    lookup = Lookup(["10.0.0.1"], failure, ttl_seconds=30)
    link = link_to(session, clock, lookup=lookup)
    await link.addresses()
    clock.now += 30
    for _ in range(10):
        assert await link.addresses() == (("10.0.0.1", 80),)
    assert lookup.asked == 2
    clock.now += 30
    lookup.answers = [["10.0.0.2"]]
    assert await link.addresses() == (("10.0.0.2", 80),)


async def test_one_request_looks_up_for_all(session: Session, clock: ManualClock) -> None:
    """When the time of an answer is over one request asks again; the others don't wait."""
    lookup = Lookup(["10.0.0.1"], ["10.0.0.2"])
    link = link_to(session, clock, lookup=lookup)
    await link.addresses()
    clock.now += 30
    found = await asyncio.gather(*(link.addresses() for _ in range(50)))
    assert lookup.asked == 2
    assert set(found) == {(("10.0.0.1", 80),), (("10.0.0.2", 80),)}


@pytest.mark.parametrize("failure", [OSError("no name server"), []], ids=["error", "no address"])
async def test_name_that_was_never_known(
    session: Session, clock: ManualClock, failure: list[str] | OSError
) -> None:
    """Without any answer of DNS, ever, the primary is unreachable; the next request asks again."""
    lookup = Lookup(failure)
    link = link_to(session, clock, lookup=lookup)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await status_of(link)
    assert lookup.asked == 2


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "fe80::1%eth0"])
async def test_literal_is_not_looked_up(session: Session, clock: ManualClock, host: str) -> None:
    """An address needs no DNS; nor does a primary whose addresses are configured."""
    lookup = Lookup(OSError("asked"))
    origin = Origin("http", host, 5000)
    link = PrivateLink(session, origin, connect_to=(), lookup=lookup, via="", clock=clock)
    assert await link.addresses() == ((host, 5000),)
    assert await link_to(session, clock, ("10.0.0.9", 1), lookup=lookup).addresses() == (
        ("10.0.0.9", 1),
    )
    assert lookup.asked == 0
