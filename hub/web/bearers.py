"""Who asks: bearers of a token."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from hub.errors import Denied, Unauthorized
from hub.members import Member, Members

MAX_TOKEN_CHARACTERS = 1024
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def bearer_of(request: web.Request) -> str:
    """Give the token that a request shows. Raises: Unauthorized: none, or two."""
    lines = request.headers.getall("Authorization", ())
    scheme, _, token = lines[0].partition(" ") if len(lines) == 1 else ("", "", "")
    token = token.strip()
    if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN_CHARACTERS:
        raise Unauthorized
    return token


class Operators:
    """Those who show one of some tokens."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = tuple(map(_digest, tokens))

    def check(self, request: web.Request) -> None:
        """Raises: Unauthorized: the request isn't one of theirs."""
        digest = _digest(bearer_of(request))
        found = [hmac.compare_digest(digest, own) for own in self._digests]
        if not any(found):
            raise Unauthorized

    def guarding(self, handler: Handler) -> Handler:
        """Give a handler that answers them alone."""

        async def checked(request: web.Request) -> web.StreamResponse:
            self.check(request)
            return await handler(request)

        return checked


async def member_of(request: web.Request, members: Members) -> Member:
    """Give the replica that asks.

    Raises: Unauthorized: the token is nobody's. Denied: the replica drains or was deleted.
    """
    member = await members.by_token(bearer_of(request))
    if member is None:
        raise Unauthorized
    if not member.may_follow:
        raise Denied(f"{member.id} is not to follow any more", detail={"state": member.state})
    return member


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
