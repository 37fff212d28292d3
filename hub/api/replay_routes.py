"""`POST /v1/replay`: events of the log once more, for all replicas or for that of one region.

A long stretch is done in portions. `upto` stays what it was at the first, since what is replayed
comes to stand at the end of the log, and would be replayed in its turn.
"""

from aiohttp import web

from hub.api.answers import answer
from hub.api.others import Replayed, ReplayRequest
from hub.errors import CursorGone, Invalid, NotFound
from hub.instances.instances import Instances
from hub.instances.state import OVER
from hub.log.log import Log
from hub.log.works import Stretch
from hub.web.application import route
from hub.web.bearers import Operators
from hub.web.body import read_object
from hub.wire.reading import read

MAX_REPLAYED = 10_000


class ReplayRoutes:
    """The route, behind the token of operators."""

    def __init__(self, log: Log, instances: Instances, operators: Operators) -> None:
        self._log = log
        self._instances = instances
        self._operators = operators

    def routes(self) -> list[web.RouteDef]:
        """Give what it answers."""
        return [route("POST", "/v1/replay", self._replay)]

    async def _replay(self, request: web.Request) -> web.Response:
        self._operators.check(request)
        document = await read_object(request)
        wanted = read(ReplayRequest, document)
        if not document.keys() & {"after", "repository", "region"}:
            raise Invalid("expected `after`, `repository` or `region`, or several of them")
        if wanted.region is not None:
            await self._check_region(wanted.region)
        stretch = self._stretch(wanted)
        found = await self._log.append_again(stretch, MAX_REPLAYED)
        return answer(Replayed(len(found.entries), found.next, stretch.upto))

    async def _check_region(self, region: str) -> None:
        """Raises: NotFound: no replica is there, or it is on its way out."""
        views = await self._instances.list()
        if region not in {each.region for each in views if each.state not in OVER}:
            raise NotFound(f"{region} has no replica")

    def _stretch(self, wanted: ReplayRequest) -> Stretch:
        """Give what is to be replayed now. Raises: CursorGone: of a portion some was trimmed."""
        extent = self._log.extent
        if wanted.upto is None:
            return Stretch(wanted.after, extent.head, wanted.repository, wanted.region)
        if wanted.after < extent.floor:
            message = f"events up to {extent.floor} are no longer kept"
            raise CursorGone(message, detail={"epoch": extent.epoch, "head": extent.head})
        upto = min(wanted.upto, extent.head)
        return Stretch(wanted.after, upto, wanted.repository, wanted.region)
