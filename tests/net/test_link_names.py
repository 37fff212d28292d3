"""The private link: names, and which address comes next after a transfer broke."""

import asyncio

import pytest

from proxy.net.link import PrivateLink
from proxy.net.origins import Origin
from proxy.net.session import Session
from proxy.oci.errors import Unavailable
from tests.net.linking import Lookup, OpenLink, counts, link_to, refuse, status_of
from tests.net.peer import polite
from tests.net.sessions import ManualClock


async def test_break_moves_to_the_next_address(open_link: OpenLink) -> None:
    """After a transfer broke the next request starts on another address, and goes on there."""
    link, peers = await open_link(polite, polite, polite)
    for _ in range(4):
        await status_of(link)
        link.note_break()
    await status_of(link)
    assert counts(peers) == [2, 2, 1]


async def test_breaks_at_once_move_once(open_link: OpenLink) -> None:
    """Many transfers that break together leave the address they broke on, not the one after it."""
    link, peers = await open_link(polite, polite)
    await status_of(link)
    for _ in range(16):
        link.note_break()
    for _ in range(3):
        await status_of(link)
    assert counts(peers) == [1, 3]


async def test_break_of_the_second_address(open_link: OpenLink) -> None:
    """A transfer that broke on the second address, since the first is sick, goes to the third."""
    link, peers = await open_link(refuse, polite, polite)
    assert await status_of(link) == 200
    link.note_break()
    assert await status_of(link) == 200
    assert counts(peers) == [0, 1, 1]


async def test_break_with_one_address_or_none(open_link: OpenLink, session: Session) -> None:
    """There is nothing to turn where there is one address, or none was asked yet."""
    link, (primary,) = await open_link(polite)
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
