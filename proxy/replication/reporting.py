"""Reports to the hub: how this region is, and what became of each artifact.

Rules:
- A report goes out when there is something to tell, and every two seconds if there isn't: a region
  whose replica reports counts as alive at a hub that can't reach it, and one that is lost mustn't
  be taken for a silence. After a failure it is no later.
- What the hub has taken is told no more; what it refuses is told no more either, and logged.
- A report that it rejects as a whole (400, 413) is told in parts, the status by itself first; an
  entry that is rejected alone is told no more. Where it rejects the status too, all waits.
- A hub that can't be asked hears all of it later. Nothing waits for a report.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from proxy.net.hub import HubRefused, HubUnavailable, JsonObject
from proxy.oci.digest import Digest
from proxy.oci.errors import RegistryError
from proxy.oci.reference import Tag, parse_reference
from proxy.replication.history import Entry, History
from proxy.replication.load import Load
from proxy.replication.pace import until_woken
from proxy.replication.status import Status
from proxy.telemetry.logs import EventLog

EVERY_SECONDS = 2.0
SOONEST_SECONDS = 0.25
AFTER_REFUSAL_SECONDS = 60.0
MAX_ENTRIES = 500

_UNKNOWN_KINDS = frozenset({"tag", "manifest", "repository"})
"""What an entry is about before, or where, its manifest isn't known."""


class Hub(Protocol):
    """Who is told."""

    async def post(self, target: str, document: JsonObject) -> JsonObject:
        """See `HubClient.post`."""
        ...


class Reporter:
    """Tells the hub. `run` is the task; it ends by being cancelled."""

    def __init__(
        self,
        hub: Hub,
        history: History,
        status: Callable[[], Awaitable[Status]],
        load: Callable[[], Load],
        log: EventLog,
    ) -> None:
        self._hub = hub
        self._history = history
        self._status = status
        self._load = load
        self._log = log
        self._error = ""
        self._most = MAX_ENTRIES

    async def run(self) -> None:
        """Report for ever."""
        while True:
            try:
                is_more = await self.report()
            except RegistryError as exc:
                self._note(exc.message)
                is_refused = isinstance(exc, HubRefused)
                await asyncio.sleep(AFTER_REFUSAL_SECONDS if is_refused else EVERY_SECONDS)
                continue
            self._note("")
            await asyncio.sleep(SOONEST_SECONDS)
            if not is_more:
                await until_woken(EVERY_SECONDS, self._history.has_news)

    async def report(self) -> bool:
        """Report once; say whether there is more to tell.

        Raises: HubRefused, HubUnavailable: it is all still to be told.
        """
        most = self._most
        entries = await self._history.unreported(most)
        try:
            answer = await self._tell(entries)
        except HubUnavailable as exc:
            if not exc.is_rejection or not entries:
                raise
            await self._tell([])
            await self._tell_less(entries, exc)
            return True
        await self._history.reported(entries)
        self._log_refused(entries, answer.get("refused"))
        self._most = min(MAX_ENTRIES, most * 2)
        return len(entries) == most

    async def _tell(self, entries: Sequence[Entry]) -> JsonObject:
        status = await self._status()
        document = {
            "status": {**status.as_document(), "load": self._load().as_document()},
            "entries": [wire_entry(entry) for entry in entries],
        }
        return await self._hub.post("/v1/reports", document)

    async def _tell_less(self, entries: Sequence[Entry], error: HubUnavailable) -> None:
        """Go on with half of what was rejected; what was rejected alone is told no more."""
        if self._most == MAX_ENTRIES:
            self._log.warning("report.rejected", error=error.message, entries=len(entries))
        self._most = max(1, len(entries) // 2)
        if len(entries) == 1:
            await self._history.reported(entries)
            self._log.warning("report.refused", id=entries[0].id, error=error.message)

    def _log_refused(self, entries: Sequence[Entry], refused: object) -> None:
        for each in refused if isinstance(refused, list) else []:
            match each:
                case {"index": int(index), "reason": str(reason)} if index < len(entries):
                    entry = entries[index]
                    self._log.warning("report.refused", id=entry.id, error=reason[:300])

    def _note(self, error: str) -> None:
        """Log what stands in the way, once in a row."""
        if error and error != self._error:
            self._log.warning("report.failed", error=error)
        self._error = error


def wire_entry(entry: Entry) -> dict[str, Any]:
    """Give an entry as the hub keeps it."""
    reference = parse_reference(entry.reference) if entry.reference else None
    digest = entry.digest or (str(reference) if isinstance(reference, Digest) else "")
    return {
        "id": entry.id,
        "repository": entry.repository,
        "tag": str(reference) if isinstance(reference, Tag) else None,
        "digest": digest or None,
        "what": "artifact" if entry.what in _UNKNOWN_KINDS else entry.what,
        "trigger": entry.trigger,
        "state": entry.state,
        "bytes_moved": entry.moved_bytes,
        "bytes_saved": entry.saved_bytes,
        "attempts": entry.attempts,
        "started_at": entry.started_at,
        "ended_at": entry.ended_at,
        "event_at": entry.event_at,
        "error": entry.error,
    }
