"""The verbs about replication on the control socket: its log, what was given up or parked."""

from collections.abc import Mapping

from aiohttp import web

from proxy.oci.errors import BadRequest, RegistryError
from proxy.replication.history import Entry, History, Wanted
from proxy.replication.journal import Journal
from proxy.replication.reception import Reception
from proxy.replication.reporting import wire_entry
from proxy.replication.work import Trigger, renewed

MAX_PAGE = 1000
DEFAULT_PAGE = 100


class ReplicationVerbs:
    """Answers `logs`, `dead` and `parked`; *region* is what the entries are said to be of."""

    def __init__(
        self, journal: Journal, history: History, reception: Reception | None, region: str
    ) -> None:
        self._journal = journal
        self._history = history
        self._reception = reception
        self._region = region

    def routes(self) -> list[web.RouteDef]:
        """Give what the control socket answers with this."""
        return [
            web.get("/logs", self._logs, allow_head=False),
            web.get("/dead", self._dead, allow_head=False),
            web.post("/dead", self._revive),
            web.get("/parked", self._parked, allow_head=False),
            web.post("/parked/{id:[0-9]{1,18}}", self._replay),
        ]

    async def _logs(self, request: web.Request) -> web.Response:
        try:
            wanted = _wanted(request.query)
        except RegistryError as exc:
            return web.json_response({"error": exc.message}, status=exc.status)
        entries, revision = await self._history.entries(wanted)
        document = {
            "entries": [self._document(entry) for entry in entries],
            "next": str(revision),
            "revision": str(revision),
        }
        return web.json_response(document)

    def _document(self, entry: Entry) -> dict[str, object]:
        return {**wire_entry(entry), "region": self._region}

    async def _dead(self, _: web.Request) -> web.Response:
        found = await self._journal.dead(MAX_PAGE)
        return web.json_response(
            {"dead": [{"target": str(job.target), "error": error} for job, error in found]}
        )

    async def _revive(self, _: web.Request) -> web.Response:
        """Try again everything that was given up."""
        jobs = [renewed(job, Trigger.REPLAY) for job, _ in await self._journal.dead(MAX_PAGE)]
        await self._journal.take(jobs)
        return web.json_response({"replayed": len(jobs)})

    async def _parked(self, _: web.Request) -> web.Response:
        letters = [] if self._reception is None else await self._reception.parking.list()
        return web.json_response({"parked": letters})

    async def _replay(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        taken = None if self._reception is None else await self._reception.replay(number)
        if taken is None:
            return web.json_response({"error": "there is no such notification"}, status=404)
        return web.json_response({**taken.as_document(), "reason": taken.parked_because})


def _wanted(query: Mapping[str, str]) -> Wanted:
    """Read a query. Raises: BadRequest."""
    try:
        return Wanted(
            query.get("repository", ""),
            query.get("tag", ""),
            query.get("digest", ""),
            query.get("state", ""),
            float(query.get("since", "0")),
            float(query.get("until", "inf")),
            None if "follow" not in query else float(query["follow"]),
            max(1, min(MAX_PAGE, int(query.get("limit", DEFAULT_PAGE)))),
        )
    except ValueError as exc:
        raise BadRequest("a time or a number can't be read") from exc
