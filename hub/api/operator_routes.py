"""What operators ask for: instances, the replication log, and to be told of an arrival."""

from typing import Any

from aiohttp import web

from hub.api.answers import answer, read_query_as
from hub.errors import Invalid
from hub.history.forms import LogsQuery, WaitQuery
from hub.history.history import History
from hub.history.waiting import Waiting
from hub.instances.forms import Creation, ReplicaList, Replication
from hub.instances.instances import Instances
from hub.instances.state import State
from hub.subscription.feed import Feed
from hub.web.application import route
from hub.web.bearers import Handler, Operators
from hub.web.body import read_object
from hub.wire.reading import read
from hub.wire.writing import plain
from proxy.telemetry.logs import EventLog

NAMED = "/v1/replicas/{id:[A-Za-z0-9._-]{1,128}}"


class OperatorRoutes:
    """The routes of operators, each behind their token."""

    def __init__(
        self,
        instances: Instances,
        history: History,
        waiting: Waiting,
        feed: Feed,
        operators: Operators,
        log: EventLog,
    ) -> None:
        self._instances = instances
        self._history = history
        self._waiting = waiting
        self._feed = feed
        self._operators = operators
        self._log = log

    def routes(self) -> list[web.RouteDef]:
        """Give what it answers."""
        return [
            self._route("GET", "/v1/primary", self._show_primary),
            self._route("DELETE", "/v1/primary", self._delete_primary),
            self._route("GET", "/v1/replicas", self._list),
            self._route("POST", "/v1/replicas", self._create),
            self._route("GET", NAMED, self._show),
            self._route("PATCH", NAMED, self._change),
            self._route("DELETE", NAMED, self._delete),
            self._route("GET", "/v1/logs", self._logs),
            self._route("GET", "/v1/wait", self._wait),
        ]

    def _route(self, method: str, path: str, handler: Handler) -> web.RouteDef:
        return route(method, path, self._operators.guarding(handler))

    # --- instances --------------------------------------------------------------------------------

    async def _show_primary(self, _request: web.Request) -> web.Response:
        return answer(await self._instances.show_primary())

    async def _delete_primary(self, request: web.Request) -> web.Response:
        await self._instances.delete_primary()
        self._log.warning("primary.deleted", client=request.remote or "")
        return web.Response(status=204)

    async def _list(self, _request: web.Request) -> web.Response:
        return answer(ReplicaList(await self._instances.list()))

    async def _create(self, request: web.Request) -> web.Response:
        document = await read_object(request)
        replication = self._replication(document)
        wanted = read(Creation, {**document, "replication": None})
        created = await self._instances.create(wanted.region, replication)
        self._note(request, "replica.created", created.id)
        response = answer(created, 201)
        response.headers["Location"] = f"/v1/replicas/{created.id}"
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _show(self, request: web.Request) -> web.Response:
        return answer(await self._instances.show(request.match_info["id"]))

    async def _change(self, request: web.Request) -> web.Response:
        document = await read_object(request)
        if document.keys() != {"replication"}:
            raise Invalid("expected `replication`, and nothing else")
        replica_id = request.match_info["id"]
        changed = await self._instances.change(replica_id, self._replication(document))
        self._feed.tell_settings(replica_id)
        self._note(request, "replica.changed", replica_id)
        return answer(changed)

    async def _delete(self, request: web.Request) -> web.Response:
        """202 while it drains, 200 once it is deleted."""
        deleted = await self._instances.delete(request.match_info["id"])
        self._feed.end(deleted.id)
        self._note(request, "replica.deleted", deleted.id)
        return answer(deleted, 200 if deleted.state is State.DELETED else 202)

    def _note(self, request: web.Request, event: str, replica_id: str) -> None:
        self._log.info(event, replica=replica_id, client=request.remote or "")

    def _replication(self, document: dict[str, Any]) -> Replication | None:
        """Give what a replica shall copy; what isn't said is as the hub's settings have it."""
        given = document.get("replication")
        if given is None:
            return None
        if not isinstance(given, dict):
            raise Invalid("replication: expected an object")
        merged = plain(self._instances.plan.replication) | given
        backfill = given.get("backfill")
        if isinstance(backfill, dict):
            merged["backfill"] = plain(self._instances.plan.replication.backfill) | backfill
        return read(Replication, merged, where="replication")

    # --- the replication log ----------------------------------------------------------------------

    async def _logs(self, request: web.Request) -> web.Response:
        query = read_query_as(LogsQuery, request)
        if query.after is not None and query.follow is not None:
            raise Invalid("expected `after` or `follow`, not both")
        return answer(await self._history.page(query))

    async def _wait(self, request: web.Request) -> web.Response:
        query = read_query_as(WaitQuery, request)
        return answer(await self._waiting.wait(query, lambda: request.transport is None))
