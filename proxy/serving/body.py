"""Request bodies: asked for only when they are wanted, and got rid of when they aren't."""

import asyncio

from aiohttp import HttpVersion11, web

from proxy.oci.errors import BadRequest, SizeInvalid

BODY_SECONDS = 10.0
DRAIN_BYTES = 512 << 10
DRAIN_SECONDS = 1.0


def ask_for_body(request: web.BaseRequest) -> None:
    """Send 100 Continue to a client that waits for it (RFC 9110, 10.1.1)."""
    is_waiting = "Expect" in request.headers and request.version == HttpVersion11
    if is_waiting and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def has_unread_body(request: web.BaseRequest) -> bool:
    """Say whether the client still has something to send for this request."""
    return request.body_exists and not request.content.is_eof()


def check_length(request: web.BaseRequest, limit_bytes: int) -> None:
    """Look at what a body says of its length, before a byte of it. Raises: SizeInvalid."""
    if (request.content_length or 0) > limit_bytes:
        raise SizeInvalid(f"the body is larger than {limit_bytes} bytes")


async def read_body(request: web.BaseRequest, limit_bytes: int) -> bytes:
    """Give the body of a request, asked for only now.

    Raises: SizeInvalid: it is larger, or says so. BadRequest: it is encoded, late or broken off.
    """
    check_length(request, limit_bytes)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadRequest("bodies are not to be encoded")
    ask_for_body(request)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.content.iter_any():
                size += len(part)
                if size > limit_bytes:
                    raise SizeInvalid(f"the body is larger than {limit_bytes} bytes")
                parts.append(part)
    except (TimeoutError, web.RequestPayloadError) as exc:
        raise BadRequest("the body didn't come in time, or not to its end") from exc
    return b"".join(parts)


async def expect_nothing(_request: web.Request) -> None:
    """Leave a client that expects a 100 waiting: who reads the body asks for it."""


async def answer_and_drain(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Answer early: send the answer, say that nothing follows, take a little, then close.

    Closing with unread bytes at once would reset the connection, and the client would often see
    the reset instead of the answer (RFC 9112, 9.6).
    """
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    transport = request.transport
    if transport is not None and transport.can_write_eof():
        transport.write_eof()
    await _drain(request)
    if transport is not None and not transport.can_write_eof():
        transport.abort()  # the orderly end of TLS would read on for as long as the client sends


async def _drain(request: web.BaseRequest) -> None:
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0 and (chunk := await request.content.readany()):
                left -= len(chunk)
    except (TimeoutError, web.RequestPayloadError, ConnectionError):
        return
