"""What replicas ask for: what they are told of themselves, and to be heard."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from aiohttp import hdrs, web

from hub.api.answers import answer
from hub.errors import Denied, Invalid, Unauthorized
from hub.history.forms import MAX_ENTRIES, Entry, RefusedEntry, ReportOutcome
from hub.history.history import History
from hub.instances.forms import SelfView, Status
from hub.instances.instances import Instances
from hub.instances.state import State
from hub.members import Member
from hub.telemetry import HubTelemetry
from hub.web.application import route
from hub.web.bearers import bearer_of, member_of
from hub.web.body import read_object
from hub.wire.reading import Others, read
from hub.wire.writing import plain


class ReplicaRoutes:
    """The routes of replicas, each behind its join token."""

    def __init__(
        self,
        instances: Instances,
        history: History,
        telemetry: HubTelemetry,
        count_refused: Callable[[int], None],
    ) -> None:
        self._instances = instances
        self._history = history
        self._telemetry = telemetry
        self._count_refused = count_refused

    def routes(self) -> list[web.RouteDef]:
        """Give what it answers."""
        return [
            route("GET", "/v1/self", self._self),
            route("POST", "/v1/reports", self._report),
        ]

    async def _self(self, request: web.Request) -> web.Response:
        view = await self._instances.tell(await member_of(request, self._instances))
        etag = etag_of(view)
        if request.headers.get(hdrs.IF_NONE_MATCH) == etag:
            return web.Response(status=304, headers={hdrs.ETAG: etag})
        response = answer(view)
        response.headers[hdrs.ETAG] = etag
        return response

    async def _report(self, request: web.Request) -> web.Response:
        """A replica that drains is heard: it says when it has drained."""
        member = await self._instances.by_token(bearer_of(request))
        if member is None:
            raise Unauthorized
        if member.state == State.DELETED:
            raise Denied(f"{member.id} was deleted", detail={"state": member.state})
        document = await read_object(request)
        status = read(Status, document.get("status"), Others.IGNORE, "status")
        primary = self._instances.plan.primary
        ends = {"source": primary.domain, "destination": member.id}
        entries, refused = _entries(document.get("entries", []), member, ends)
        for each in refused:
            self._telemetry.log.warning("report.refused", replica=member.id, reason=each.reason)
        self._count_refused(len(refused))
        kept = await self._history.report(member.id, status, entries)
        return answer(ReportOutcome(kept, tuple(refused)))


def etag_of(view: SelfView) -> str:
    """Name what a replica keeps; weak, since the log's head, which changes, isn't part of it."""
    kept: dict[str, Any] = plain(view)
    del kept["head"]
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    return f'W/"{digest[:32]}"'


def _entries(
    documents: object, member: Member, ends: dict[str, str]
) -> tuple[list[Entry], list[RefusedEntry]]:
    """Read entries one by one: a bad one keeps none of its neighbours out.

    Raises: Invalid: they are no list, or too many.
    """
    if not isinstance(documents, list) or len(documents) > MAX_ENTRIES:
        raise Invalid(f"entries: expected a list of at most {MAX_ENTRIES}")
    entries: list[Entry] = []
    refused: list[RefusedEntry] = []
    for index, document in enumerate(documents):
        try:
            entries.append(_entry(document, member, ends))
        except Invalid as exc:
            refused.append(RefusedEntry(index, exc.message))
    return entries, refused


def _entry(document: object, member: Member, ends: dict[str, str]) -> Entry:
    """Read an entry. ends: from where to where things go, unless it says otherwise."""
    own = {"replica": member.id, "region": member.region}
    if isinstance(document, dict):
        for name, value in own.items():
            if document.get(name, value) not in (value, ""):
                raise Invalid(f"{name}: it isn't {value}")
        document = {**ends, **document, **own}
    return read(Entry, document, Others.IGNORE)
