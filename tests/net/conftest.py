"""Sessions and links that must leave nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from proxy.net.link import PrivateLink
from proxy.net.origins import AddressPolicy
from proxy.net.session import Limits, Session
from tests.net import uploading
from tests.net.linking import OpenLink, link_to, refuse
from tests.net.peer import Handler, Peer, peer
from tests.net.sessions import ManualClock, OpenSession, held_connections
from tests.support.ports import LOOPBACK
from tests.support.waiting import eventually

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
ON_BOTH_LOOPS = frozenset({"test_transfers.py", "test_uploads.py", "test_upload_ends.py"})
QUICK = {"connect_timeout": 2.0, "read_timeout": 5.0, "minimum_rate": 0, "max_connections": 16}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Connections end in their own ways on each of the loops that a replica may run on."""
    asyncio_only = {"asyncio": asyncio.new_event_loop}
    if item.path.name in ON_BOTH_LOOPS:
        return {**asyncio_only, "uvloop": uvloop.new_event_loop}
    return asyncio_only


@pytest.fixture
async def open_session() -> AsyncIterator[OpenSession]:
    """Gives a function that opens sessions; at the test's end no connection may be in use and,
    once they are closed, no task may be left.
    """
    opened: list[Session] = []

    def open_one(
        *, allowed: Iterable[str] = (LOOPBACK,), more: dict[str, Any] | None = None, **limits: float
    ) -> Session:
        session = Session(AddressPolicy(allowed), Limits(**{**QUICK, **limits}), **(more or {}))
        opened.append(session)
        return session

    yield open_one
    try:
        await eventually(lambda: not any(map(held_connections, opened)), 2, "no connection in use")
    finally:
        for session in opened:
            await session.close()
    await eventually(lambda: not leftover_tasks(), 2, "no task is left")


def leftover_tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


@pytest.fixture
async def session(open_session: OpenSession) -> Session:
    """A session that may go to 127.0.0.1."""
    return open_session()


@pytest.fixture
async def impatient(open_session: OpenSession, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session that waits 0.4 s for the other side's next step, and 0.1 s for a 100."""
    wait = uploading.CONTINUE_WAIT_SECONDS
    monkeypatch.setattr("proxy.net.request.CONTINUE_WAIT_SECONDS", wait)
    monkeypatch.setattr("proxy.net.upload.ANSWER_WAIT_SECONDS", wait)
    monkeypatch.setattr("proxy.net.session.POOL_WAIT_SECONDS", wait)
    return open_session(read_timeout=uploading.READ_TIMEOUT)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def open_link(session: Session, clock: ManualClock) -> AsyncIterator[OpenLink]:
    """Gives a function that opens peers and a link to them; nobody listens where one refuses."""
    async with AsyncExitStack() as stack:

        async def open_one(*handlers: Handler) -> tuple[PrivateLink, list[Peer]]:
            peers: list[Peer] = []
            for handler in handlers:
                async with AsyncExitStack() as opening:
                    peers.append(await opening.enter_async_context(peer(handler)))
                    if handler is not refuse:
                        stack.push_async_callback(opening.pop_all().aclose)
            return link_to(session, clock, *(each.address for each in peers)), peers

        yield open_one
