"""What operators do about notifications: look at parked ones, try them again, replay the log."""

from aiohttp import web

from hub.errors import Invalid, NotFound
from hub.log.log import Log
from hub.receiving.intake import Intake
from hub.receiving.parked import ParkedLetters
from hub.web.application import route
from hub.web.bearers import Operators
from hub.web.body import read_object
from hub.web.query import whole_number
from proxy.oci.errors import RegistryError
from proxy.oci.reference import Repository

MAX_PAGE = 100
MAX_REPLAYED = 10_000


class ReceivingVerbs:
    """The routes of operators, each behind their token."""

    def __init__(
        self, intake: Intake, parked: ParkedLetters, log: Log, operators: Operators
    ) -> None:
        self._intake = intake
        self._parked = parked
        self._log = log
        self._operators = operators

    def routes(self) -> list[web.RouteDef]:
        """Give what it answers."""
        return [
            route("GET", "/v1/parked", self._list),
            route("POST", "/v1/parked/{id:[0-9]{1,18}}/replay", self._replay_parked),
            route("DELETE", "/v1/parked/{id:[0-9]{1,18}}", self._remove),
            route("POST", "/v1/replay", self._replay),
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

    async def _replay(self, request: web.Request) -> web.Response:
        """Put events at the end of the log once more: all after a number, or of a repository."""
        self._operators.check(request)
        wanted = await read_object(request)
        after, repository = wanted.get("after", 0), wanted.get("repository")
        if not wanted or wanted.keys() - {"after", "repository"}:
            raise Invalid("expected `after`, `repository` or both")
        if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after < 10**18:
            raise Invalid("after: expected the number of an event")
        name = None if repository is None else _repository(repository)
        upto = self._log.extent.head
        number = await self._log.append_again(after, upto, name, MAX_REPLAYED)
        return web.json_response({"replayed": number, "is_whole": number < MAX_REPLAYED})


def _repository(value: object) -> str:
    try:
        return Repository.parse(value if isinstance(value, str) else "")
    except RegistryError as exc:
        raise Invalid("repository: expected the name of one") from exc
