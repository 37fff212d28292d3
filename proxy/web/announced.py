"""Connections that a front end announces: the PROXY header is taken off before anything else.

Rules:
- Only trusted front ends may connect, and each connection begins with a header; one that doesn't
  is closed. Whether there is a header is never guessed.
- The header's bytes are taken from the socket, and not one more: what follows is TLS or HTTP, and
  belongs to the transport that the socket is handed to.
- A header may come in pieces, all within a time.
"""

import asyncio
import socket
from collections.abc import Callable

from proxy.telemetry.labels import HeaderRefusal
from proxy.telemetry.logs import EventLog
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.seldom import Seldom
from proxy.web.proxy_protocol import Endpoint, MalformedHeader, parse

PEEK_BYTES = 4096
LOG_EVERY_SECONDS = 10.0


class Refused(Exception):
    """The connection is not to be served."""


class Announcements:
    """Reads who the client is from the front ends that *is_trusted* names."""

    def __init__(
        self,
        is_trusted: Callable[[str], bool],
        timeout_seconds: float,
        log: EventLog,
        metrics: Metrics,
    ) -> None:
        self._is_trusted = is_trusted
        self._timeout_seconds = timeout_seconds
        self._log = log
        self._metrics = metrics
        self._refusals = Seldom(LOG_EVERY_SECONDS)

    async def client(self, connection: socket.socket, peer: str) -> Endpoint | None:
        """Take the header off an accepted socket; give the client, None where it is the peer.

        Raises: Refused: counted, and logged unless it just ended.
        """
        if not self._is_trusted(peer):
            raise self._refused(HeaderRefusal.UNTRUSTED, peer, "not in access.trusted_proxies")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await take_header(connection)
        except MalformedHeader as exc:
            raise self._refused(HeaderRefusal.MALFORMED, peer, str(exc)) from exc
        except TimeoutError as exc:
            raise self._refused(HeaderRefusal.LATE, peer, "no header in time") from exc
        except OSError as exc:
            self._metrics.header_refused(HeaderRefusal.LEFT)
            raise Refused from exc

    def _refused(self, reason: HeaderRefusal, peer: str, error: str) -> Refused:
        self._metrics.header_refused(reason)
        if connections := self._refusals.note(asyncio.get_running_loop().time()):
            self._log.warning(
                "proxy_header.refused",
                peer=peer,
                reason=reason,
                error=error,
                connections=connections,
            )
        return Refused(error)


async def take_header(connection: socket.socket) -> Endpoint | None:
    """Take a PROXY header off a socket that doesn't block; give the source it names.

    Raises: MalformedHeader. OSError: the peer ended the connection before.
    """
    seen, header = b"", None
    missing_bytes = 0
    while header is None:
        piece = await _peek(connection)
        header = parse(seen + piece)
        if header is None:
            _drop(connection, len(piece))
            seen += piece
        else:
            missing_bytes = header.size_bytes - len(seen)
    while missing_bytes:
        piece = await _peek(connection)
        missing_bytes -= _drop(connection, min(missing_bytes, len(piece)))
    return header.source


def _drop(connection: socket.socket, size: int) -> int:
    """Take bytes that were seen to be there."""
    return len(connection.recv(size))


async def _peek(connection: socket.socket) -> bytes:
    """Look at what has come, waiting for it. Raises: OSError: nothing more comes."""
    try:
        piece = connection.recv(PEEK_BYTES, socket.MSG_PEEK)
    except BlockingIOError:
        await _readable(connection)
        piece = connection.recv(PEEK_BYTES, socket.MSG_PEEK)
    if not piece:
        raise ConnectionResetError("ended before its PROXY header")
    return piece


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    came: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        if not came.done():
            came.set_result(None)

    loop.add_reader(connection, note)
    try:
        await came
    finally:
        loop.remove_reader(connection)
