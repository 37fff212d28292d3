"""The private link: what an address has to do to be left alone, and what is no fault of its own."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from proxy.net.breakers import FAILURES_TO_OPEN, PROBE_EVERY_SECONDS, BreakerState
from proxy.net.link import MAX_REMEMBERED_ADDRESSES
from proxy.net.session import NotConnected, Session
from proxy.net.upload import BodyNotAsked, UploadBody
from proxy.oci.errors import Unavailable, UntrustedOrigin
from tests.net.linking import (
    OK,
    READS,
    WRITES,
    Lookup,
    OpenLink,
    chunks,
    link_to,
    refuse,
    status_of,
)
from tests.net.peer import Call, answering, peer, polite, silent
from tests.net.sessions import ManualClock
from tests.support.waiting import eventually


async def test_sick_address_is_left_alone(open_link: OpenLink, clock: ManualClock) -> None:
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

    link, peers = await open_link(sometimes, OK)
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


async def test_all_addresses_sick_is_told_at_once(open_link: OpenLink, clock: ManualClock) -> None:
    """C22: with every breaker open it is told at once, with the time until the next try."""
    link, peers = await open_link(refuse, refuse)
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


async def test_probe_that_is_not_needed_is_kept(open_link: OpenLink, clock: ManualClock) -> None:
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

    link, peers = await open_link(first, refuse)
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
    open_link: OpenLink, monkeypatch: pytest.MonkeyPatch
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

    link, _ = await open_link(handle)
    for _ in range(FAILURES_TO_OPEN + 1):
        with pytest.raises(ConnectionResetError):
            await link.request("PATCH", "/asked", {}, body=UploadBody(broken(), 10))
        body = UploadBody(chunks(b"a"), 1, may_send_unasked=may_not)
        with pytest.raises(BodyNotAsked):
            await link.request("PATCH", "/unasked", {}, body=body)
    assert set(link.breaker_states().values()) == {BreakerState.CLOSED}
    assert await status_of(link) == 200


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_any_answer_counts_as_well(open_link: OpenLink, status: int) -> None:
    """An address that answers, whatever it says, works."""
    link, _ = await open_link(answering(status))
    for _ in range(FAILURES_TO_OPEN + 1):
        assert await status_of(link) == status
    assert set(link.breaker_states().values()) == {BreakerState.CLOSED}


async def test_cancelled_requests_are_no_failures(open_link: OpenLink) -> None:
    """Clients that leave while the primary thinks don't make it sick."""
    link, (primary,) = await open_link(silent)
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
