"""Links to peers: addresses that refuse, break, or answer as the test says."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

from proxy.net.link import Address, PrivateLink
from proxy.net.origins import Origin
from proxy.net.session import Session
from tests.net.peer import Call, Handler, Peer, answering
from tests.net.sessions import ManualClock

ORIGIN = Origin("http", "registry.example.com", 80)
READS = ("GET", "HEAD")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
OK = answering(200, b"second")


async def refuse(call: Call) -> None:
    """Stands for an address on which nobody listens."""
    raise AssertionError


async def reset_after_request(call: Call) -> None:
    """Take a request and say nothing but RST."""
    await call.head()
    call.reset()


class OpenLink(Protocol):
    """Opens peers with these handlers, in this order, and a link to them."""

    async def __call__(self, *handlers: Handler) -> tuple[PrivateLink, list[Peer]]: ...


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


def link_to(
    session: Session, clock: ManualClock, *addresses: Address, lookup: Lookup | None = None
) -> PrivateLink:
    """Give a link to *addresses*, or to what *lookup* says."""
    return PrivateLink(
        session,
        ORIGIN,
        connect_to=addresses,
        lookup=lookup or Lookup(OSError("no name server")),
        via="1.1 proxima-test",
        clock=clock,
    )


async def status_of(link: PrivateLink, method: str = "GET") -> int:
    """Send a request and give the answer's status."""
    answer = await link.request(method, "/v2/", {})
    await answer.drop()
    return answer.status


def counts(peers: list[Peer]) -> list[int]:
    """Give how many requests came to each peer."""
    return [len(each.seen) for each in peers]


async def chunks(*parts: bytes) -> AsyncGenerator[bytes]:
    """Give the parts of an upload."""
    for part in parts:
        yield part
