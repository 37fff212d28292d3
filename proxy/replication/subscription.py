"""The subscription: one long-lived connection to the hub, on which its log comes in.

Rules:
- It begins behind the journal's cursor. Without one it begins at the log's end, and everything
  before is found by a full reconcile; the same after a 410.
- What arrives together is taken together. A stream that is silent for a few heartbeats has ended.
- After a break it comes again with full jitter, later with each failure in a row, and not before
  the time that the hub named. A refusal is told once and tried again seldom.
- Settings that changed while nothing was heard aren't told again: the owner looks at each
  connection, but for a first one right behind the start, where they were just read.
- A hub that is away changes nothing but freshness: it isn't on the way of any pull.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Protocol

from proxy.events.cursor import Cursor, CursorInvalid
from proxy.net.hub import CursorGone, HubRefused, HubStream, HubUnavailable, JsonObject
from proxy.net.sse import ServerEvent
from proxy.oci.errors import RegistryError
from proxy.registry.clock import Clock
from proxy.replication.cursor import Notice, notice_of
from proxy.replication.intake import Intake
from proxy.replication.pace import Pace
from proxy.telemetry.logs import EventLog

STEADY_SECONDS = 30.0  # what lasted as long wasn't a failure of the way there


class Hub(Protocol):
    """What is subscribed to."""

    async def get(self, target: str) -> JsonObject:
        """See `HubClient.get`."""
        ...

    def events(self, after: str) -> AbstractAsyncContextManager[HubStream]:
        """See `HubClient.events`."""
        ...


@dataclass(slots=True)
class Heard:
    """How the subscription fares. Times are the clock's `now`; None: not now, or never."""

    connected_since: float | None = None
    heard_at: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who is told: *on_settings* when the hub's settings for us have changed, or may have,
    *on_refused* when it doesn't want us any more.
    """

    on_settings: Callable[[], None] = lambda: None
    on_refused: Callable[[HubRefused], None] = lambda _: None


class Subscription:
    """Follows the hub's log."""

    def __init__(
        self,
        hub: Hub,
        intake: Intake,
        clock: Clock,
        log: EventLog,
        owner: Owner | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._hub = hub
        self._intake = intake
        self._clock = clock
        self._log = log
        self._owner = owner or Owner()
        self._pace = pace or Pace()
        self._never = asyncio.Event()
        self._failures = 0
        self._retry_seconds = 0.0
        self.is_refused = False
        self.may_have_missed = False
        """Whether settings may have changed since they were read."""
        self.heard = Heard()

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            await self._pace.pause(await self._seconds_after_following(), self._never)

    async def _seconds_after_following(self) -> float:
        """Follow one connection to its end; give how long to wait then."""
        self._retry_seconds = 0.0
        try:
            await self.follow()
        except HubRefused as exc:
            self._refused(exc)
            return self._pace.seconds_after_refusal()
        except RegistryError as exc:
            self._failed(exc)
        else:
            self._log.info("subscription.ended")
        return self._pace.seconds(self._failures, self._retry_seconds)

    def _refused(self, error: HubRefused) -> None:
        self.heard.error = error.message
        if not self.is_refused:
            self.is_refused = True
            self._log.error("subscription.refused", error=error.message)
            self._owner.on_refused(error)

    def _failed(self, error: RegistryError) -> None:
        self._failures += 1
        self.heard.error = error.message
        cause = repr(error.__cause__) if error.__cause__ else ""
        self._log.warning("subscription.broke", error=error.message, cause=cause)
        if isinstance(error, HubUnavailable) and error.is_time_named:
            self._retry_seconds = max(self._retry_seconds, error.retry_after_seconds)

    # --- one connection ---------------------------------------------------------------------------

    async def follow(self) -> None:
        """Follow the log until the hub ends the connection.

        Raises: HubRefused. HubUnavailable, StoreUnavailable, CursorGone: it goes on later.
        """
        try:
            await self._follow()
        finally:
            self.may_have_missed = True

    async def _follow(self) -> None:
        cursor = await self._intake.resume()
        if cursor is None:
            cursor = await self._start_over("nothing was ever followed")
        try:
            await self._follow_from(cursor)
        except CursorGone:
            await self._follow_from(await self._start_over("the log doesn't go back so far"))

    async def _start_over(self, reason: str) -> Cursor:
        said = await self._hub.get("/v1/self")
        try:
            head = Cursor.of(said.get("epoch"), said.get("head"))
        except CursorInvalid as exc:
            raise HubUnavailable("the hub doesn't say where its log ends") from exc
        await self._intake.start_over(head, reason)
        return head

    async def _follow_from(self, cursor: Cursor) -> None:
        async with self._hub.events(str(cursor)) as stream:
            began_at = self._clock.now()
            self._connected(began_at)
            try:
                async with aclosing(stream.batches()) as batches:
                    async for events in batches:
                        await self._take(events)
            finally:
                self.heard.connected_since = None
                self._retry_seconds = stream.retry_seconds or 0.0
                if self._clock.now() - began_at >= STEADY_SECONDS:
                    self._failures = 0

    def _connected(self, now: float) -> None:
        self.heard.connected_since = self.heard.heard_at = now
        self.heard.error = ""
        self.is_refused = False
        self._log.info("subscription.connected", cursor=str(self._intake.cursor))
        if self.may_have_missed:
            self._owner.on_settings()

    async def _take(self, events: list[ServerEvent]) -> None:
        """Take what came in one piece; what isn't known is passed over."""
        self.heard.heard_at = self._clock.now()
        region = self._intake.region
        notices = [_notice(each, region) for each in events if each.event == "notice"]
        await self._intake.take(notices)
        if any(each.event == "settings" for each in events):
            self._owner.on_settings()


def _notice(event: ServerEvent, region: str) -> Notice:
    try:
        return notice_of(event.id, event.data, region)
    except CursorInvalid as exc:
        raise HubUnavailable("the hub's event names no place in its log") from exc
