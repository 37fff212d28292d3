"""Eviction: contents leave in order, in batches, in threads; links stay, so that a pull refills.

Never: what is being read or written, what is pinned. A file that can't be removed is passed over.
Nothing is synced: a removal that a power cut undoes is found by the recount.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.registry.ending import to_its_end
from proxy.registry.layout import data_below
from proxy.registry.order import BEGINNING, Entry, Place, Rank
from proxy.registry.pins import Pins
from proxy.registry.room import Room
from proxy.registry.store import Store
from proxy.registry.usage import Usage
from proxy.telemetry import Telemetry

PAGE = 64
BATCH = 16
PAUSE_SECONDS = 0.002
HURRIED_PAUSE_SECONDS = 0.001  # hits go on between, whoever waits for room
PINS_SECONDS = 1.0

_MISSING, _STUCK = -1, -2


class Evictor:
    """Frees room. One batch at a time, whoever asks."""

    def __init__(
        self, store: Store, room: Room, usage: Usage, pins: Pins, telemetry: Telemetry
    ) -> None:
        self._store = store
        self._room = room
        self._usage = usage
        self._pins = pins
        self._log = telemetry.log
        self._metrics = telemetry.metrics
        self.on_removed: Callable[[Entry, bool], None] = lambda *_: None
        """Told of what left, and whether its file was there: who accounts for it."""
        self._turn = asyncio.Lock()
        self._passes: set[asyncio.Task[bool]] = set()

    async def free(self, size_bytes: int) -> bool:
        """Free so many bytes at once if that can be done, else nothing; say whether it was done.

        A caller who doesn't wait for the end leaves a pass that goes on.
        """
        task = asyncio.create_task(self._free(size_bytes))
        self._passes.add(task)
        task.add_done_callback(self._passes.discard)
        return await asyncio.shield(task)

    async def _free(self, size_bytes: int) -> bool:
        async with self._turn:
            await self._pins.refresh()
            await self._usage.write()
            if not await self._may_free(size_bytes):
                return False
            return await self._evict(size_bytes) >= size_bytes

    async def trim(self, size_bytes: int) -> int:
        """Free so many bytes as far as possible, at leisure; give how many were freed."""
        freed = 0
        place: Place | None = BEGINNING
        while freed < size_bytes and place is not None:
            async with self._turn:
                await self._pins.refresh(PINS_SECONDS)
                await self._usage.write()
                part, place = await self._evict_page(place, size_bytes - freed, PAUSE_SECONDS)
            freed += part
        return freed

    async def close(self) -> None:
        """Wait for what is running."""
        if self._passes:
            await asyncio.wait(tuple(self._passes))

    # --- choosing ---------------------------------------------------------------------------------

    def _may_go(self, entry: Entry) -> bool:
        digest = entry.digest
        return not (self._room.is_in_use(digest) or self._pins.is_pinned(digest))

    async def _may_free(self, size_bytes: int) -> bool:
        place: Place = BEGINNING
        found = 0
        while found < size_bytes and (page := await self._usage.after(place, PAGE)):
            place = page[-1].place
            found += sum(entry.size for entry in page if self._may_go(entry))
        return found >= size_bytes

    async def _evict(self, size_bytes: int) -> int:
        freed = 0
        place: Place | None = BEGINNING
        while freed < size_bytes and place is not None:
            part, place = await self._evict_page(place, size_bytes - freed, HURRIED_PAUSE_SECONDS)
            freed += part
        return freed

    async def _evict_page(
        self, place: Place, size_bytes: int, pause_seconds: float
    ) -> tuple[int, Place | None]:
        """Evict up to *size_bytes* of what comes next after *place*; give how many that freed, and
        where to go on; None: there is no more.
        """
        started_at = time.monotonic()
        page = await self._usage.after(place, PAGE)
        if not page:
            return 0, None
        sizes: list[int] = []
        candidates = filter(self._may_go, page)
        while chosen := enough(candidates, size_bytes - freed_by(sizes)):
            sizes += await to_its_end(self._remove(chosen))
            await asyncio.sleep(pause_seconds)
        self._tell(sizes, Rank(page[0].rank), time.monotonic() - started_at)
        return freed_by(sizes), page[-1].place

    # --- removing ---------------------------------------------------------------------------------

    async def _remove(self, chosen: Sequence[Entry]) -> list[int]:
        """Remove contents, and account for them; a recount leaves them alone until that is done."""
        tree = self._store.tree
        digests = [entry.digest for entry in chosen]
        for digest in digests:
            self._room.hold(digest)
        try:
            sizes = await tree.run(remove_contents, tree.layout.blobs, digests)
            for entry, size in zip(chosen, sizes, strict=True):
                if size != _STUCK:
                    self._store.forget(entry.digest)
                    self.on_removed(entry, size != _MISSING)
        except StoreUnavailable:
            return []
        finally:
            for digest in digests:
                self._room.let_go(digest)
        return sizes

    def _tell(self, sizes: Sequence[int], rank: Rank, seconds: float) -> None:
        if not sizes:
            return
        removed = [size for size in sizes if size >= 0]
        self._metrics.evicted_contents.inc(len(removed))
        self._metrics.evicted_bytes.inc(sum(removed))
        self._log.info(
            "store.evicted",
            contents=len(removed),
            bytes=sum(removed),
            stuck=sizes.count(_STUCK) or None,
            rank=rank.name.lower(),
            stored_bytes=self._usage.stored_bytes,
            seconds=round(seconds, 4),
        )


def freed_by(sizes: Iterable[int]) -> int:
    """Give how many bytes a removal freed."""
    return sum(size for size in sizes if size >= 0)


def enough(candidates: Iterator[Entry], size_bytes: int) -> list[Entry]:
    """Take candidates until they make up *size_bytes*, or are enough for one batch."""
    chosen: list[Entry] = []
    while size_bytes > 0 and len(chosen) < BATCH and (entry := next(candidates, None)):
        chosen.append(entry)
        size_bytes -= entry.size
    return chosen


def remove_contents(blobs: Path, digests: Sequence[Digest]) -> list[int]:
    """Remove contents with their folders; give the size of each. Blocks."""
    return [_remove_content(f"{blobs}/{data_below(digest)}") for digest in digests]


def _remove_content(path: str) -> int:
    try:
        size = os.stat(path, follow_symlinks=False).st_size  # noqa: PTH116  # thousands of these
        os.unlink(path)  # noqa: PTH108
    except (FileNotFoundError, NotADirectoryError):
        size = _MISSING
    except OSError:
        return _STUCK
    with suppress(OSError):
        os.rmdir(path.removesuffix("/data"))  # noqa: PTH106
    return size
