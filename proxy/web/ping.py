"""`GET /v2/`: whether this is a registry, and whether a login is good."""

from aiohttp import web

from proxy.registry.access import Logins, Presented
from proxy.registry.primary import Primary
from proxy.telemetry.labels import Origin
from proxy.web.exchange import Exchange
from proxy.web.respond import json_response


class Pings:
    """Answers the API version check."""

    def __init__(self, primary: Primary, logins: Logins) -> None:
        self._primary = primary
        self._logins = logins

    async def answer(self, exchange: Exchange, presented: Presented) -> web.StreamResponse:
        """Answer one check. A token of ours proves a login; what else is presented is asked.

        Raises: Unauthorized: the primary doesn't accept it. Unavailable.
        """
        exchange.origin = Origin.STORE
        authorization = presented.authorization
        if authorization and not presented.is_our_token:
            await self._logins.require(presented.caller, lambda: self._primary.ping(authorization))
        return json_response(b"{}")
