"""Bodies of requests: bounded before anything else is done with them."""

import asyncio
import json
from typing import Any

from aiohttp import web

from hub.errors import Invalid, TooLarge
from proxy.serving.body import ask_for_body

BODY_SECONDS = 10.0
MAX_JSON_BYTES = 1 << 20


async def expect_nothing(_request: web.Request) -> None:
    """Leave a client that expects a 100 waiting: who reads the body asks for it."""


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """Give the body of a request, asked for only now.

    Raises: TooLarge: it is, or says that it is. Invalid: it is encoded, late or broken off.
    """
    check_length(request, limit_bytes)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Invalid("bodies are not to be encoded")
    ask_for_body(request)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.content.iter_any():
                size += len(part)
                if size > limit_bytes:
                    raise TooLarge(f"the body is larger than {limit_bytes} bytes")
                parts.append(part)
    except (TimeoutError, web.RequestPayloadError) as exc:
        raise Invalid("the body didn't come in time, or not to its end") from exc
    return b"".join(parts)


def check_length(request: web.Request, limit_bytes: int) -> None:
    """Look at what a body says of its length, before a byte of it. Raises: TooLarge."""
    if (request.content_length or 0) > limit_bytes:
        raise TooLarge(f"the body is larger than {limit_bytes} bytes")


async def read_object(request: web.Request) -> dict[str, Any]:
    """Give the JSON object of a body. Raises: Invalid, TooLarge."""
    try:
        document = json.loads(await read_body(request, MAX_JSON_BYTES))
    except (ValueError, RecursionError) as exc:
        raise Invalid("the body is no JSON document") from exc
    if not isinstance(document, dict):
        raise Invalid("the body is no JSON object")
    return document
