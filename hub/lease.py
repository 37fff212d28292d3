"""`POST /v1/lease`: for how long a replica may take its tags as current.

A heartbeat proves the way from here to the replica; a lease also says that what the primary says
arrives here. So it is given only while that is proven.
"""

from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from hub.log.cursor import cursor_in
from hub.log.log import Log
from hub.members import Members
from hub.web.application import route
from hub.web.bearers import member_of
from hub.web.body import read_object
from proxy.events.cursor import Cursor


class Proof(Protocol):
    """Whether notifications of the primary arrive."""

    def doubt(self) -> str:
        """Give what speaks against it; empty: it is proven."""
        ...


class Leases:
    """Answers the requests for leases."""

    def __init__(self, log: Log, members: Members, proof: Proof, seconds: float) -> None:
        self._log = log
        self._members = members
        self._proof = proof
        self.seconds = seconds
        self.on_asked: Callable[[str, Cursor], None] | None = None
        """Told of each replica that asks, and how far it is."""

    def routes(self) -> list[web.RouteDef]:
        """Give what it answers."""
        return [route("POST", "/v1/lease", self._lease)]

    async def _lease(self, request: web.Request) -> web.Response:
        member = await member_of(request, self._members)
        cursor = cursor_in((await read_object(request)).get("cursor"))
        extent = self._log.extent
        extent.check(cursor)
        if self.on_asked is not None:
            self.on_asked(member.id, cursor)
        doubt = self._proof.doubt()
        document: dict[str, object] = {
            "epoch": extent.epoch,
            "head": extent.head,
            "lease_seconds": 0 if doubt else self.seconds,
        }
        if doubt:
            document["reason"] = doubt
        return web.json_response(document)
