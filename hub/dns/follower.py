"""Follows the hub: asks for the state after the one at hand, again and again, and keeps each.

Rules: what can't be used changes nothing, and is said; a hub that is away is asked again later,
with pauses that grow and differ between processes; the file is written before the state is used,
but a disk that takes nothing stops nothing.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from hub.dns.kept import Kept, NotKept, StateFile
from hub.dns.state import GeoState, StateInvalid, read_revision, read_state
from proxy.oci.errors import RegistryError
from proxy.telemetry.logs import EventLog

POLL_SECONDS = 50
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
SAME_PAUSE_SECONDS = 0.1
"""At least between two answers: a hub that never waits isn't asked in a busy loop."""


class Hub(Protocol):
    """What is asked of a client of the hub."""

    async def get(self, target: str) -> Mapping[str, Any]:
        """Give a document. Raises: RegistryError."""
        ...


class Follower:
    """Holds the state in use. *take* gets each new one; *now* is the time of day, in seconds."""

    def __init__(
        self,
        hub: Hub,
        file: StateFile | NotKept,
        take: Callable[[GeoState], Awaitable[None]],
        log: EventLog,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._hub = hub
        self._file = file
        self._take = take
        self._log = log
        self._now = now
        self._seen = ""
        self._kept: Kept | None = None
        self.trouble = "the hub wasn't asked yet"
        """Why the state in use may not be the current one; empty: it is."""

    @property
    def state(self) -> GeoState | None:
        return self._kept.state if self._kept else None

    @property
    def age_seconds(self) -> float:
        """Give the time since the state in use was known to be current; infinite without one."""
        return max(0.0, self._now() - self._kept.confirmed_at) if self._kept else float("inf")

    async def begin(self) -> None:
        """Use what is kept on disk, if anything is."""
        try:
            kept = await asyncio.to_thread(self._file.read)
        except (StateInvalid, OSError) as exc:
            self._log.error("geo.kept_state_unusable", error=str(exc))
            return
        if kept is not None:
            confirmed_at = min(kept.confirmed_at, self._now())  # the clock may have been ahead
            await self._use(Kept(kept.state, confirmed_at))

    async def run(self) -> None:
        """Follow until cancelled."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            if await self._ask():
                pause = FIRST_PAUSE_SECONDS
                await asyncio.sleep(SAME_PAUSE_SECONDS)
            else:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # no secret
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _ask(self) -> bool:
        """Ask once; say whether the hub answered something that can be used."""
        query = {"timeout": POLL_SECONDS} | ({"after": self._seen} if self._seen else {})
        try:
            document = await self._hub.get(f"/v1/geo?{urlencode(query)}")
            await self._take_in(document)
        except RegistryError as exc:
            self._say_trouble(f"{exc.message}")
        except StateInvalid as exc:
            self._say_trouble(f"the hub's state can't be used: {exc}")
        else:
            self._say_trouble("")
        return not self.trouble

    async def _take_in(self, document: Mapping[str, Any]) -> None:
        """Raises: StateInvalid."""
        self._seen = read_revision(document)
        if self.state is None or self._seen != self.state.revision:
            kept = Kept(await asyncio.to_thread(read_state, document), self._now())
            await self._keep(document)
            await self._use(kept)
        elif self._kept is not None:
            self._kept = Kept(self._kept.state, self._now())

    async def _keep(self, document: Mapping[str, Any]) -> None:
        try:
            await asyncio.to_thread(self._file.write, document, self._now())
        except OSError as exc:
            self._log.error("geo.state_not_kept", error=str(exc))

    async def _use(self, kept: Kept) -> None:
        await self._take(kept.state)
        self._kept = kept
        self._seen = kept.state.revision
        down = [
            name for name, standing in kept.state.situation.standings.items() if standing != "up"
        ]
        self._log.info("geo.state", revision=kept.state.revision, not_up=down)

    def _say_trouble(self, trouble: str) -> None:
        if trouble == self.trouble:
            return
        self.trouble = trouble
        if trouble:
            self._log.warning("geo.hub_trouble", error=trouble)
        else:
            self._log.info("geo.hub_followed")
