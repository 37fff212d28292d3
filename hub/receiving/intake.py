"""From a notification's body to the log: read it, log what is understood, park what isn't."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.clock import Clock
from hub.log.log import Log
from hub.receiving.parked import ParkedLetters
from hub.telemetry import HubTelemetry
from proxy.events.letter import Letter
from proxy.events.notification import Notification, Notifications
from proxy.serving.letters import read_without_blocking
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


class Proof(Protocol):
    """What the hub's own pushes prove when they come back."""

    def is_own(self, notification: Notification) -> bool:
        """Say whether a notification is of the hub's own pushes."""
        ...

    def arrived(self, notification: Notification) -> None:
        """Take one of them as come back."""
        ...


class Intake:
    """Takes letters in. One of the hub's own proves the way once its whole letter is durable."""

    def __init__(
        self,
        log: Log,
        parked: ParkedLetters,
        proof: Proof,
        clock: Clock,
        telemetry: HubTelemetry,
    ) -> None:
        self._log = log
        self._parked = parked
        self._proof = proof
        self._clock = clock
        self._telemetry = telemetry

    async def take(self, letter: Letter) -> Outcome:
        """Log what a letter says, and park it if some of it isn't understood; durable both.

        Raises: DatabaseUnavailable: it is to be sent again.
        """
        now = self._clock.wall()
        found, reason = await read_without_blocking(letter, now)
        logged, dropped = await asyncio.gather(
            self._keep(found), self._park(letter, reason, now) if reason else _nothing()
        )
        self._arrived(found)
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

    async def _keep(self, found: Notifications) -> tuple[int, int]:
        others = [each for each in found.understood if not self._proof.is_own(each)]
        has_own = len(others) < len(found.understood)
        logged, _ = await asyncio.gather(
            self._append(others),
            self._log.try_out() if has_own else _nothing(),  # it proves that events are kept, too
        )
        return logged

    async def _append(self, notifications: Sequence[Notification]) -> tuple[int, int]:
        if not notifications:
            return 0, 0
        appended = await self._log.append(notifications)
        return len(appended.entries), appended.repeated

    def _arrived(self, found: Notifications) -> None:
        own = [each for each in found.understood if self._proof.is_own(each)]
        for each in own:
            self._proof.arrived(each)
        self._telemetry.metrics.arrived(Arrival.SENTINEL, len(own))

    async def _park(self, letter: Letter, reason: str, now: float) -> int:
        return await self._parked.park(letter, reason, now)

    async def replay(self, number: int) -> Outcome | None:
        """Take a parked letter in once more, and forget it if all of it is understood now.

        Shape: None: there is no such letter. One that still isn't understood stays as it is.
        """
        parked = await self._parked.get(number)
        if parked is None:
            return None
        found, reason = await read_without_blocking(parked.letter, parked.received_at)
        logged = await self._keep(found)
        self._arrived(found)
        if not reason:
            await self._parked.remove(number)
        return Outcome(*logged, found.ignored, reason)


async def _nothing() -> int:
    return 0
