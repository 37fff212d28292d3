"""Capacity: keeps what the store holds within its limits, behind everything else.

The tree tells what enters and leaves it, the room who needs some. What takes longer is done here:
counting what is there, writing down what is used, evicting down to the low mark.
"""

import asyncio
import os
from contextlib import suppress

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.registry.clock import Clock
from proxy.registry.evictor import Evictor
from proxy.registry.order import Entry
from proxy.registry.pins import Pins
from proxy.registry.recount import Recount
from proxy.registry.sidecar import Sidecar
from proxy.registry.store import Store
from proxy.registry.usage import Usage
from proxy.telemetry import Telemetry

LOOK_EVERY_SECONDS = 5.0
USES_EVERY_SECONDS = 60.0
RECOUNT_EVERY_SECONDS = 24 * 3600.0


class Capacity:
    """The store's accounts and who keeps them. `start` it, then `close` it."""

    def __init__(self, store: Store, sidecar: Sidecar, clock: Clock, telemetry: Telemetry) -> None:
        self.room = store.room
        self.usage = Usage(sidecar, clock.wall)
        self.pins = Pins(store, sidecar, clock)
        self._evictor = Evictor(store, self.room, self.usage, self.pins, telemetry)
        self._recount = Recount(store.tree, self.room, self.usage)
        self._tree = store.tree
        self._clock = clock
        self._log = telemetry.log
        self._wake = asyncio.Event()
        self._minute_ends_at = clock.now() + USES_EVERY_SECONDS
        self._tasks: list[asyncio.Task[None]] = []
        self._tie()

    def _tie(self) -> None:
        self._tree.on_stored = self._stored
        self._tree.on_removed = self._removed
        self._evictor.on_removed = self._evicted
        self.room.stored_bytes = self._stored_bytes
        self.room.free_bytes = self._free_bytes
        self.room.make_room = self._evictor.free
        self.room.on_high = self._wake.set

    def _stored_bytes(self) -> int:
        return self.usage.stored_bytes + self._tree.interrupted.held_bytes

    def _stored(self, digest: Digest, size: int, growth: int) -> None:
        self._recount.note_changed(digest)
        is_pulled = self.usage.was_touched(digest) or self.room.was_pulled_in_use(digest)
        self.usage.added(digest, size, growth, is_pulled=is_pulled)
        self.room.note_stored(digest)

    def _removed(self, digest: Digest, size: int) -> None:
        self._recount.note_changed(digest)
        self.usage.removed(digest, size)

    def _evicted(self, entry: Entry, is_evicted: bool) -> None:  # noqa: FBT001  # a callback's
        self._recount.note_changed(entry.digest)
        self.usage.removed(entry.digest, entry.size, is_evicted=is_evicted)

    async def _free_bytes(self) -> int:
        found = await self._tree.run(os.statvfs, self._tree.layout.root)
        return found.f_bavail * found.f_frsize

    def start(self) -> None:
        """Begin to keep the accounts; nothing waits for the tree to be counted."""
        self._tasks = [asyncio.create_task(work) for work in (self._keep(), self._count())]

    async def close(self) -> None:
        """End the tasks and write what is left to write."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._evictor.close()
        await self.usage.write()

    # --- the tasks --------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Write down what is used; evict when it is time, or when somebody says so."""
        while True:
            self._wake.clear()
            is_done = False
            with suppress(StoreUnavailable):  # logged where it was raised
                is_done = await self._look()
            if not is_done:
                await asyncio.sleep(LOOK_EVERY_SECONDS)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_SECONDS):
                    await self._wake.wait()

    async def _look(self) -> bool:
        """Do what there is to do; say whether the store is within its limits then."""
        if (now := self._clock.now()) >= self._minute_ends_at:
            self._minute_ends_at = now + USES_EVERY_SECONDS
            self._begin_minute()
        await self.usage.write()
        while (excess := await self.room.excess()) > 0:
            if await self._evictor.trim(excess) < excess:
                return False
        return True

    def _begin_minute(self) -> None:
        for digest in self.room.in_use:
            if self.usage.was_touched(digest):
                self.room.note_pulled(digest)
        self.usage.begin_minute()

    async def _count(self) -> None:
        """Recount the tree, now and every day."""
        while True:
            is_done = False
            with suppress(StoreUnavailable):
                is_done = await self._recount.run()
            if is_done:
                await self.usage.settle()
                self._log.info(
                    "store.counted",
                    contents=self.usage.stored_contents,
                    bytes=self.usage.stored_bytes,
                )
            await asyncio.sleep(RECOUNT_EVERY_SECONDS if is_done else LOOK_EVERY_SECONDS)
