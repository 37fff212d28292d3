"""What operators do about parked notifications: look at them, try them again, forget them."""

from aiohttp import web

from hub.errors import NotFound
from hub.receiving.intake import Intake
from hub.receiving.parked import ParkedLetters
from hub.web.application import route
from hub.web.bearers import Operators
from hub.web.query import whole_number

MAX_PAGE = 100


class ReceivingVerbs:
    """The routes of operators, each behind their token."""

    def __init__(self, intake: Intake, parked: ParkedLetters, operators: Operators) -> None:
        self._intake = intake
        self._parked = parked
        self._operators = operators

    def routes(self) -> list[web.RouteDef]:
        """Give what it answers."""
        return [
            route("GET", "/v1/parked", self._list),
            route("POST", "/v1/parked/{id:[0-9]{1,18}}/replay", self._replay_parked),
            route("DELETE", "/v1/parked/{id:[0-9]{1,18}}", self._remove),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        self._operators.check(request)
        after = whole_number(request.query, "after", 0)
        limit = min(whole_number(request.query, "limit", MAX_PAGE), MAX_PAGE)
        found = await self._parked.list(after, limit)
        following = found[-1].id if limit and len(found) == limit else None
        letters = [each.as_document() for each in found]
        return web.json_response({"parked": letters, "next": following})

    async def _replay_parked(self, request: web.Request) -> web.Response:
        self._operators.check(request)
        outcome = await self._intake.replay(int(request.match_info["id"]))
        if outcome is None:
            raise NotFound
        return web.json_response({**outcome.as_document(), "reason": outcome.parked_because})

    async def _remove(self, request: web.Request) -> web.Response:
        self._operators.check(request)
        if not await self._parked.remove(int(request.match_info["id"])):
            raise NotFound
        return web.Response(status=204)
