"""The lease: while it is live, every event that the hub had a moment ago is known here.

Rules:
- The replica asks, and the hub answers with the end of its log and a number of seconds. The lease
  counts from when the question was *sent*, and only once the journal has taken the log up to that
  end: at the answer, or when what is on its way has come in.
- What else arrives proves nothing: a heartbeat may have waited in a buffer for long.
- The clock counts sleep: a replica that slept wakes up without a lease.
- An answer of no seconds (the way from the primary to the hub isn't proven), another epoch, a place
  that the hub doesn't know, or a gap in the log ends what was granted before.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.events.cursor import Cursor, CursorInvalid
from proxy.net.hub import CursorGone, HubRefused, HubUnavailable, JsonObject
from proxy.registry.clock import Clock
from proxy.replication.pace import Pace
from proxy.telemetry.logs import EventLog

MAX_LEASE_SECONDS = 3600.0
MAX_GRANTS = 8
MAX_REASON_CHARACTERS = 200
ASK_PARTS = 3
NOT_PROVEN_SECONDS = 10.0
LEAST_SECONDS = 1.0
NEVER = float("-inf")


class Hub(Protocol):
    """What is asked for a lease."""

    async def post(self, target: str, document: JsonObject) -> JsonObject:
        """See `HubClient.post`."""
        ...


@dataclass(frozen=True, slots=True)
class Grant:
    """Live *until*, once the log is known here up to *head*."""

    head: Cursor
    until: float


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """What the hub said; no seconds: not now, and why."""

    head: Cursor
    seconds: float
    reason: str = ""


def answer_of(document: Mapping[str, Any]) -> LeaseAnswer:
    """Read the hub's answer.

    Raises: HubUnavailable: it can't be understood.
    """
    seconds, reason = document.get("lease_seconds"), document.get("reason", "")
    try:
        head = Cursor.of(document.get("epoch"), document.get("head"))
    except CursorInvalid as exc:
        raise HubUnavailable("the hub's lease names no place in its log") from exc
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise HubUnavailable("the hub's lease has no length")
    if not 0 <= seconds <= MAX_LEASE_SECONDS:  # a NaN isn't, either
        raise HubUnavailable("the hub's lease has a length that can't be meant")
    return LeaseAnswer(head, float(seconds), str(reason)[:MAX_REASON_CHARACTERS])


class Lease:
    """Asks for leases, and knows whether there is one."""

    def __init__(self, hub: Hub, clock: Clock, log: EventLog, pace: Pace | None = None) -> None:
        self._hub = hub
        self._clock = clock
        self._log = log
        self._pace = pace or Pace()
        self._cursor: Cursor | None = None
        self._grants: deque[Grant] = deque(maxlen=MAX_GRANTS)
        self._live_until = NEVER
        self._wake = asyncio.Event()
        self._failures = 0
        self.reason = "never asked"
        """Why there is none; empty after a grant."""

    def is_live(self) -> bool:
        """Say whether the lease is live, at this very moment."""
        return self._clock.now() < self._live_until

    @property
    def seconds_left(self) -> float:
        """How long it is live from now on if nothing more is heard."""
        return max(0.0, self._live_until - self._clock.now())

    # --- how far the log is known -----------------------------------------------------------------

    def follow(self, cursor: Cursor) -> None:
        """Note that the journal has taken the log up to *cursor*."""
        if self._cursor is None or self._cursor.epoch != cursor.epoch:
            self._grants.clear()
            self._wake.set()
        self._cursor = cursor
        self._settle()

    def end(self, reason: str) -> None:
        """End what was granted; it is asked anew once the log is followed again."""
        self._cursor = None
        self._revoke(reason)

    def _revoke(self, reason: str) -> None:
        self._live_until = NEVER
        self._grants.clear()
        self._note(reason)

    def _settle(self) -> None:
        """Let the grants count whose end of the log has been reached."""
        cursor = self._cursor
        while self._grants and cursor is not None and cursor.has_reached(self._grants[0].head):
            self._live_until = max(self._live_until, self._grants.popleft().until)

    # --- asking -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ask for ever, once it is known how far the log was followed."""
        while True:
            if self._cursor is None:
                await self._wake.wait()
                self._wake.clear()
                continue
            await self._pace.pause(await self._seconds_after_asking(), self._wake)

    async def _seconds_after_asking(self) -> float:
        """Ask once; give how long to wait then."""
        try:
            seconds = await self.ask()
        except HubRefused as exc:
            self._note(exc.message)
            return self._pace.seconds_after_refusal()
        except HubUnavailable as exc:
            self._note(exc.message)
            self._failures += 1
            asked_seconds = exc.retry_after_seconds if exc.is_time_named else 0.0
            return max(LEAST_SECONDS, self._pace.seconds(self._failures, asked_seconds))
        self._failures = 0
        return self._pace.part_of(seconds)

    async def ask(self) -> float:
        """Ask once; give how long it is good to wait before the next time.

        Raises: HubRefused. HubUnavailable: what was granted before lives to its end.
        """
        cursor = self._cursor
        if cursor is None:
            return NOT_PROVEN_SECONDS
        sent_at = self._clock.now()
        try:
            document = await self._hub.post("/v1/lease", {"cursor": str(cursor)})
        except CursorGone as exc:
            self._revoke(exc.message)
            return NOT_PROVEN_SECONDS
        return self._take(answer_of(document), sent_at)

    def _take(self, answer: LeaseAnswer, sent_at: float) -> float:
        if answer.seconds <= 0:
            self._revoke(answer.reason or "the hub gives none now")
            return NOT_PROVEN_SECONDS
        if self._cursor is None or self._cursor.epoch != answer.head.epoch:
            self._revoke("the hub has another log")
            return LEAST_SECONDS
        self._grants.append(Grant(answer.head, sent_at + answer.seconds))
        self._settle()
        self._note("")
        return max(LEAST_SECONDS, answer.seconds / ASK_PARTS)

    def _note(self, reason: str) -> None:
        """Remember and log why there is no lease, each reason once in a row."""
        if reason and reason != self.reason:
            self._log.warning("lease.refused", reason=reason)
        if not reason and self.reason:
            self._log.info("lease.granted")
        self.reason = reason
