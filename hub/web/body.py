"""Bodies of requests: bounded before anything else is done with them."""

import json
from typing import Any

from aiohttp import web

from hub.errors import Invalid, TooLarge
from proxy.oci.errors import BadRequest, SizeInvalid
from proxy.serving import body as serving

MAX_JSON_BYTES = 1 << 20


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """Give the body of a request, asked for only now.

    Raises: TooLarge: it is, or says that it is. Invalid: it is encoded, late or broken off.
    """
    try:
        return await serving.read_body(request, limit_bytes)
    except SizeInvalid as exc:
        raise TooLarge(exc.message) from exc
    except BadRequest as exc:
        raise Invalid(exc.message) from exc


def check_length(request: web.Request, limit_bytes: int) -> None:
    """Look at what a body says of its length, before a byte of it. Raises: TooLarge."""
    try:
        serving.check_length(request, limit_bytes)
    except SizeInvalid as exc:
        raise TooLarge(exc.message) from exc


async def read_object(request: web.Request) -> dict[str, Any]:
    """Give the JSON object of a body. Raises: Invalid, TooLarge."""
    try:
        document = json.loads(await read_body(request, MAX_JSON_BYTES))
    except (ValueError, RecursionError) as exc:
        raise Invalid("the body is no JSON document") from exc
    if not isinstance(document, dict):
        raise Invalid("the body is no JSON object")
    return document
