"""Sessions to play with, a look at what they hold, and a clock that the test moves."""

from collections.abc import Iterable
from typing import Any, Protocol

from proxy.net.session import Outgoing, Session
from tests.support.ports import LOOPBACK

GET = Outgoing("GET", "/v2/", {})
UNFINISHED = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell"
"""An answer whose body doesn't come to its end."""


class OpenSession(Protocol):
    """Opens a session for the length of the test; limits by name, *more* goes to `Session`."""

    def __call__(
        self,
        *,
        allowed: Iterable[str] = (LOOPBACK,),
        more: dict[str, Any] | None = None,
        **limits: float,
    ) -> Session: ...


class ManualClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


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
