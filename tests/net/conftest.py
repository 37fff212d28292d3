"""Sessions that must leave nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Protocol

import pytest
import uvloop

from proxy.net.origins import AddressPolicy
from proxy.net.session import Limits, Session
from tests.support.ports import LOOPBACK
from tests.support.waiting import eventually

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
QUICK = {"connect_timeout": 2.0, "read_timeout": 5.0, "minimum_rate": 0, "max_connections": 16}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Connections end in their own ways on each of the loops that a replica may run on."""
    asyncio_only = {"asyncio": asyncio.new_event_loop}
    if item.path.name in {"test_transfers.py", "test_uploads.py"}:
        return {**asyncio_only, "uvloop": uvloop.new_event_loop}
    return asyncio_only


class OpenSession(Protocol):
    """Opens a session for the length of the test; limits by name, *more* goes to `Session`."""

    def __call__(
        self,
        *,
        allowed: Iterable[str] = (LOOPBACK,),
        more: dict[str, Any] | None = None,
        **limits: float,
    ) -> Session: ...


def connector_of(session: Session) -> Any:
    """Give aiohttp's connector, to look into."""
    return session._client.connector


def held_connections(session: Session) -> int:
    """Count the connections that somebody still uses."""
    return len(connector_of(session)._acquired)


def idle_connections(session: Session) -> int:
    """Count the connections that are kept for later and haven't been closed by the other side."""
    pools = connector_of(session)._conns.values()
    return sum(protocol.is_connected() for pool in pools for protocol, _ in pool)


def unasked_answers(session: Session) -> int:
    """Count the kept connections on which an answer came that nobody asked for."""
    pools = connector_of(session)._conns.values()
    return sum(bool(protocol._buffer) for pool in pools for protocol, _ in pool)


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


Clock = Callable[[], float]


class ManualClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
