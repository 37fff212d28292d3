"""Notifications as requests: who sends them, then the body, then what is made of it.

The hub and a replica without one take them in the same way.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from proxy.events.authenticity import Authenticity
from proxy.events.letter import LONG_BYTES, Letter, kept_headers, read_letter
from proxy.events.notification import Notifications

MAX_SENDER_CHARACTERS = 32

T = TypeVar("T")


async def take_authentic(
    request: web.Request,
    authenticity: Authenticity,
    now: Callable[[], float],
    read_body: Callable[[], Awaitable[bytes]],
    take: Callable[[Letter], Awaitable[T]],
) -> T:
    """Give what *take* makes of a letter that proves its sender.

    A signature counts once, unless what it was for couldn't be done.

    Raises: NotAuthentic: before the body is read, where the headers tell. What *read_body* and
    *take* raise.
    """
    signed = authenticity.check_headers(tuple(request.headers.items()), now())
    body = await read_body()
    sender = request.query.get("sender", "")[:MAX_SENDER_CHARACTERS]
    letter = Letter(sender, kept_headers(request.headers), body)
    if signed is None:
        return await take(letter)
    authenticity.check_body(signed, body, now())
    try:
        return await take(letter)
    except BaseException:
        authenticity.give_back(signed)
        raise


async def read_without_blocking(letter: Letter, now: float) -> tuple[Notifications, str]:
    """As `read_letter`, a long one in a thread."""
    if len(letter.body) >= LONG_BYTES:
        return await asyncio.to_thread(read_letter, letter, now)
    return read_letter(letter, now)
