"""Notifications of the primary, taken by the replica itself where there is no hub.

What is understood becomes jobs, durable before the sender is answered. What isn't is parked: kept
for a look, bounded in number, the oldest go; the sender is told that all is well, since one that
isn't sends nothing else in the meantime.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.events.event import Event
from proxy.events.letter import Letter
from proxy.oci.errors import StoreUnavailable
from proxy.registry.clock import Clock
from proxy.registry.sidecar import Sidecar
from proxy.replication.journal import Journal
from proxy.replication.marks import Marks, mark_of
from proxy.serving.letters import read_without_blocking
from proxy.telemetry import Telemetry

MAX_REASON_CHARACTERS = 256
MAX_LISTED = 100

_PARK = "INSERT INTO parked (received_at, sender, headers, body, reason) VALUES (?, ?, ?, ?, ?)"
_LIST = """
SELECT number, received_at, sender, reason, length(body), substr(body, 1, 200)
FROM parked ORDER BY number LIMIT ?
"""
_GET = "SELECT sender, headers, body FROM parked WHERE number = ?"
_TRIM = """
DELETE FROM parked WHERE number IN (
    SELECT number FROM (
        SELECT number, row_number() OVER newest AS place, sum(length(body)) OVER newest AS bytes
        FROM parked WINDOW newest AS (ORDER BY number DESC))
    WHERE place > ? OR bytes > ? AND place > 1)
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a letter: events that count, entries that are nothing to act on, why some of
    it was parked.
    """

    events: int = 0
    ignored: int = 0
    parked_because: str = ""

    def as_document(self) -> dict[str, Any]:
        """Give what the sender is told."""
        return {
            "logged": self.events,
            "ignored": self.ignored,
            "parked": bool(self.parked_because),
        }


class Parking:
    """Letters that weren't understood, in the sidecar: so many bytes of them, the oldest go."""

    def __init__(self, sidecar: Sidecar, max_letters: int, max_bytes: int) -> None:
        self._sidecar = sidecar
        self._limits = (max_letters, max_bytes)

    async def put(self, letter: Letter, reason: str, now: float) -> None:
        """Keep a letter, durable when it returns.

        Raises: StoreUnavailable.
        """
        headers = json.dumps(dict(letter.headers))
        row = (now, letter.sender, headers, letter.body, reason[:MAX_REASON_CHARACTERS])
        if not await self._sidecar.transact([(_PARK, row), (_TRIM, self._limits)]):
            raise StoreUnavailable("the notification can't be kept")

    async def list(self) -> list[dict[str, Any]]:
        """Give what is parked, the oldest first, without what was sent but for its beginning."""
        rows = await self._sidecar.all(_LIST, MAX_LISTED)
        names = ("id", "received_at", "sender", "reason", "size_bytes", "beginning")
        return [
            dict(zip(names, (*row[:-1], _bytes(row[-1]).decode("utf-8", "replace")), strict=True))
            for row in rows or []
        ]

    async def get(self, number: int) -> Letter | None:
        """Give one letter."""
        rows = await self._sidecar.all(_GET, number)
        if not rows:
            return None
        sender, headers, body = rows[0]
        return Letter(str(sender), json.loads(str(headers)), _bytes(body))

    async def remove(self, number: int) -> None:
        """Forget a letter."""
        await self._sidecar.transact([("DELETE FROM parked WHERE number = ?", (number,))])


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("a column of bytes holds something else")
    return value


class Reception:
    """Takes letters in; *on_events* is called once their marks are made."""

    def __init__(
        self,
        journal: Journal,
        marks: Marks,
        parking: Parking,
        on_events: Callable[[], Awaitable[None]],
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._journal = journal
        self._marks = marks
        self.parking = parking
        self._on_events = on_events
        self._clock = clock
        self._log = telemetry.log
        self._metrics = telemetry.metrics

    async def take(self, letter: Letter) -> Taken:
        """Take a letter in, durable when it returns.

        Raises: StoreUnavailable: it is to be sent again.
        """
        now = self._clock.wall()
        found, reason = await read_without_blocking(letter, now)
        events = [each.event for each in found.understood]
        await self._learn(events, now)
        if reason:
            await self.parking.put(letter, reason, now)
            self._log.warning("notification.parked", reason=reason)
        self._metrics.notified(len(events), found.ignored, is_parked=bool(reason))
        return Taken(len(events), found.ignored, reason)

    async def _learn(self, events: Sequence[Event], now: float) -> None:
        """Marks come first: at every moment in between more is doubted than has to be."""
        if not events:
            return
        marks = [mark_of(event) for event in events]
        self._marks.add(mark for mark in marks if mark is not None)
        await self._journal.learn(events, now)
        await self._on_events()

    async def replay(self, number: int) -> Taken | None:
        """Take a parked letter in once more, and forget it if all of it is understood now.

        Shape: None: there is no such letter. One that still isn't understood stays as it is.
        """
        letter = await self.parking.get(number)
        if letter is None:
            return None
        now = self._clock.wall()
        found, reason = await read_without_blocking(letter, now)
        await self._learn([each.event for each in found.understood], now)
        if not reason:
            await self.parking.remove(number)
        return Taken(len(found.understood), found.ignored, reason)
