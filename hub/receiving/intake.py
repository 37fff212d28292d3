"""From a notification's body to the log: read it, log what is understood, park what isn't."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from hub.clock import Clock
from hub.log.log import Log
from hub.receiving.parked import ParkedLetters
from hub.telemetry import HubTelemetry
from proxy.events.letter import LONG_BYTES, Letter, read_letter
from proxy.events.notification import Notification, Notifications
from proxy.telemetry.hub_metrics import Arrival


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a letter's entries."""

    logged: int = 0
    repeated: int = 0
    ignored: int = 0
    parked_because: str = ""

    def as_document(self) -> dict[str, object]:
        """Give what the sender is told."""
        return {
            "logged": self.logged,
            "repeated": self.repeated,
            "ignored": self.ignored,
            "parked": bool(self.parked_because),
        }


class Intake:
    """Takes letters in. *is_sentinel* takes a notification if it is the hub's own."""

    def __init__(
        self,
        log: Log,
        parked: ParkedLetters,
        is_sentinel: Callable[[Notification], bool],
        clock: Clock,
        telemetry: HubTelemetry,
    ) -> None:
        self._log = log
        self._parked = parked
        self._is_sentinel = is_sentinel
        self._clock = clock
        self._telemetry = telemetry

    async def take(self, letter: Letter) -> Outcome:
        """Log what a letter says, and park it if some of it isn't understood; durable both.

        Raises: DatabaseUnavailable: it is to be sent again.
        """
        now = self._clock.wall()
        found, reason = await _read(letter, now)
        logged, dropped = await asyncio.gather(
            self._append(found), self._park(letter, reason, now) if reason else _nothing()
        )
        metrics = self._telemetry.metrics
        if reason:
            metrics.arrived(Arrival.PARKED)
            metrics.parked_dropped.inc(dropped)
            self._telemetry.log.warning("notification.parked", reason=reason)
        outcome = Outcome(*logged, found.ignored, reason)
        metrics.arrived(Arrival.LOGGED, outcome.logged)
        metrics.arrived(Arrival.REPEATED, outcome.repeated)
        metrics.arrived(Arrival.IGNORED, outcome.ignored)
        return outcome

    async def _append(self, found: Notifications) -> tuple[int, int]:
        others = [each for each in found.understood if not self._is_sentinel(each)]
        sentinels = len(found.understood) - len(others)
        self._telemetry.metrics.arrived(Arrival.SENTINEL, sentinels)
        if not others:
            return 0, 0
        appended = await self._log.append(others)
        return len(appended.entries), appended.repeated

    async def _park(self, letter: Letter, reason: str, now: float) -> int:
        return await self._parked.park(letter, reason, now)

    async def replay(self, number: int) -> Outcome | None:
        """Take a parked letter in once more, and forget it if all of it is understood now.

        Shape: None: there is no such letter. One that still isn't understood stays as it is.
        """
        parked = await self._parked.get(number)
        if parked is None:
            return None
        found, reason = await _read(parked.letter, parked.received_at)
        logged = await self._append(found)
        if not reason:
            await self._parked.remove(number)
        return Outcome(*logged, found.ignored, reason)


async def _nothing() -> int:
    return 0


async def _read(letter: Letter, now: float) -> tuple[Notifications, str]:
    """Give what is understood of a letter, and why the rest isn't; empty: all is."""
    if len(letter.body) >= LONG_BYTES:
        return await asyncio.to_thread(read_letter, letter, now)
    return read_letter(letter, now)
