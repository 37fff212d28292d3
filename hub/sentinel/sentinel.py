"""The sentinel: a push now and then, and the notification of it that has to come back.

A registry sends its notifications in order or not at all. One that comes back for a push that began
at a time tells that notifications of what was pushed before it arrive; it proves that for `limit`
from that time on. It counts once the letter that it came in is durable: a hub that can't keep
events gives no leases.
"""

import asyncio

from hub.clock import Clock
from hub.sentinel.contents import content
from hub.sentinel.pusher import Pusher
from hub.telemetry import HubTelemetry
from proxy.events.event import ManifestPushed
from proxy.events.notification import Notification
from proxy.oci.digest import Digest
from proxy.oci.errors import RegistryError

MAX_UNDER_WAY = 64


class Sentinel:
    """Pushes, and waits for its own notifications."""

    def __init__(
        self,
        pusher: Pusher,
        repository: str,
        limit_seconds: float,
        clock: Clock,
        telemetry: HubTelemetry,
    ) -> None:
        self._pusher = pusher
        self._repository = repository
        self._limit_seconds = limit_seconds
        self._clock = clock
        self._telemetry = telemetry
        self._under_way: dict[Digest, float] = {}
        self._proven_at = float("-inf")
        self._failure = ""

    async def run(self, every_seconds: float) -> None:
        """Push now and then, for as long as this runs."""
        number = int(self._clock.wall() / every_seconds)
        while True:
            number += 1
            await self._push(number)
            await asyncio.sleep(every_seconds)

    async def _push(self, number: int) -> None:
        pushed = content(number)
        began_at = self._clock.now()
        self._under_way.pop(pushed.digest, None)
        self._under_way[pushed.digest] = began_at  # before: the notification may be here first
        while len(self._under_way) > MAX_UNDER_WAY:
            del self._under_way[next(iter(self._under_way))]
        try:
            await self._pusher.push(pushed)
        except RegistryError as exc:
            self._under_way.pop(pushed.digest, None)
            self._note_failure(exc.message)
        else:
            self._failure = ""

    def _note_failure(self, message: str) -> None:
        if message != self._failure:
            self._telemetry.log.warning("sentinel.not_pushed", error=message)
        self._failure = message

    def is_own(self, notification: Notification) -> bool:
        """Say whether it is about the sentinel's repository, which is only ours."""
        return notification.event.repository == self._repository

    def arrived(self, notification: Notification) -> None:
        """Take one of our own as come back: it proves something if it is of a push under way."""
        event = notification.event
        if isinstance(event, ManifestPushed) and event.digest is not None:
            began_at = self._under_way.pop(event.digest, None)
            if began_at is not None:
                self._proven_at = max(self._proven_at, began_at)

    @property
    def age_seconds(self) -> float:
        """The time since the begin of the last push that came back."""
        return self._clock.now() - self._proven_at

    def doubt(self) -> str:
        """Give why notifications may not arrive; empty: they do."""
        if self.age_seconds <= self._limit_seconds:
            return ""
        if self._failure:
            return f"the sentinel can't be pushed: {self._failure}"
        if self._proven_at == float("-inf"):
            return "no notification of the sentinel's pushes has come yet"
        return f"no notification of the sentinel's pushes for {self.age_seconds:.0f} s"


class NoSentinel:
    """What stands in for a sentinel where none is set up."""

    def __init__(self, *, is_trusted: bool) -> None:
        self._is_trusted = is_trusted

    def is_own(self, notification: Notification) -> bool:
        """None is the sentinel's."""
        return False

    def arrived(self, notification: Notification) -> None:
        """Nothing is proven."""

    def doubt(self) -> str:
        """Notifications are trusted to arrive, or nothing proves it."""
        if self._is_trusted:
            return ""
        return "nothing proves that notifications arrive: sentinel.repository isn't set"
