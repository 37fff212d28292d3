"""Many clients at once, each on a connection of its own, told exactly what came."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.http1 import Fields, Malformed, read_body, read_response, response_framing

LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one client got; status 0: no answer. `is_complete` as the answer's own framing says."""

    status: int
    fields: Fields = field(default_factory=Fields)
    body: bytes = field(default=b"", repr=False)
    is_complete: bool = False
    first_byte_seconds: float = 0.0


async def pull(
    address: str, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> Pulled:
    """Send one request and read its answer to the end."""
    host, _, port = address.rpartition(":")
    started_at = time.monotonic()
    async with asyncio.timeout(LIMIT_SECONDS):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            fields = {"Host": address, "Connection": "close", **(headers or {})}
            head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
            return await _read(reader, method, started_at)
        except (ConnectionError, Malformed):
            return Pulled(0)
        finally:
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader, method: str, started_at: float) -> Pulled:
    response = await read_response(reader)
    body, first_at = bytearray(), 0.0
    try:
        async for piece in read_body(
            reader, response_framing(method, response.status, response.fields)
        ):
            first_at = first_at or time.monotonic()
            body += piece
    except (asyncio.IncompleteReadError, ConnectionError):
        return Pulled(response.status, response.fields, bytes(body))
    seconds = first_at - started_at if first_at else 0.0
    return Pulled(response.status, response.fields, bytes(body), True, seconds)


async def pull_all(
    address: str, paths: Sequence[str], headers: Mapping[str, str] | None = None
) -> list[Pulled]:
    """Pull all paths at the same time."""
    return await asyncio.gather(*(pull(address, path, headers) for path in paths))
