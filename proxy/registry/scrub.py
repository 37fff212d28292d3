"""The scrub: every content is read and hashed once within a set time, behind everything else.

Rules:
- Digests are spread evenly, so how far a content's name lies between the first and the last says
  how far a round is: nothing is counted beforehand, and each content is read when it is due.
- Steps are small, with a pause behind each, and a longer one while the loop is busy.
- Wrong bytes, and those that can't be read, are set aside; a pull fetches them again.
- A round goes on after a restart where it was; what it has read so far may be some seconds old.
"""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass

from proxy.oci.digest import Algorithm, Digest
from proxy.oci.errors import DigestInvalid, StoreUnavailable
from proxy.registry import walk
from proxy.registry.clock import Clock
from proxy.registry.hashing import FileHash, open_content
from proxy.registry.sidecar import Sidecar
from proxy.registry.store import Store
from proxy.registry.walk import ContentFile
from proxy.telemetry import Telemetry

FACT = "scrub"
PART_OF_TIME = 0.9
MAX_BYTES_PER_SECOND = 100 << 20
BUSY_SECONDS = 0.1
MAX_BUSY_PAUSES = 10
NOTE_EVERY_SECONDS = 10.0
RETRY_SECONDS = 60.0


@dataclass(slots=True)
class Round:
    """How far a round is. `started_at` is wall-clock seconds; `after` the last content's place."""

    started_at: float
    after: str = ""
    contents: int = 0
    read_bytes: int = 0
    damaged: int = 0


class Scrub:
    """Goes round the store for ever. *is_busy* says whether the loop has no time to spare."""

    def __init__(
        self,
        store: Store,
        sidecar: Sidecar,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._tree = store.tree
        self._sidecar = sidecar
        self._clock = clock
        self._log = telemetry.log
        self._metrics = telemetry.metrics
        self._round = Round(0.0)
        self._noted_at = float("-inf")
        self.is_busy: Callable[[], bool] = lambda: False

    @property
    def progress(self) -> float:
        """How much of the store the current round has read, between 0 and 1."""
        return fraction(self._round.after)

    async def run(self, within_seconds: float) -> None:
        """Read everything once within each *within_seconds*; 0: nothing is read."""
        if not within_seconds:
            return
        self._round = await self._resumed()
        while True:
            began_at = self._began_at(within_seconds)
            try:
                await self._go_round(began_at, within_seconds * PART_OF_TIME)
            except StoreUnavailable:  # logged where it was raised
                await asyncio.sleep(RETRY_SECONDS)
                continue
            finally:
                self._note()
            await asyncio.sleep(max(0.0, began_at + within_seconds - self._clock.now()))
            self._round = Round(self._clock.wall())

    async def _resumed(self) -> Round:
        text = await self._sidecar.fact(FACT)
        now = self._clock.wall()
        try:
            found = Round(**json.loads(text or ""))
            if found.after:
                Digest.parse(found.after)
            return found if found.started_at <= now else Round(now)
        except (ValueError, TypeError, DigestInvalid):
            return Round(now)

    def _began_at(self, within_seconds: float) -> float:
        """Give when the round began, on the clock that only goes forward."""
        age = self._clock.wall() - self._round.started_at
        return self._clock.now() - min(max(0.0, age), within_seconds)

    def _note(self) -> None:
        self._noted_at = self._clock.now()
        self._sidecar.put_fact(FACT, json.dumps(asdict(self._round)))

    # --- one round --------------------------------------------------------------------------------

    async def _go_round(self, began_at: float, seconds: float) -> None:
        found = walk.contents(self._tree.layout, self._round.after)
        while (file := await self._tree.run(next, found, None)) is not None:
            if not isinstance(file, ContentFile):
                continue
            place = walk.place(file)
            await asyncio.sleep(max(0.0, began_at + seconds * fraction(place) - self._clock.now()))
            await self._look_at(file)
            self._round.after = place
            if self._clock.now() - self._noted_at >= NOTE_EVERY_SECONDS:
                self._note()
        self._end_round(self._clock.now() - began_at)

    def _end_round(self, seconds: float) -> None:
        self._metrics.scrub_rounds.inc()
        self._log.info(
            "scrub.ended",
            contents=self._round.contents,
            bytes=self._round.read_bytes,
            damaged=self._round.damaged,
            seconds=round(seconds, 1),
        )

    async def _look_at(self, file: ContentFile) -> None:
        descriptor = await self._tree.run(_opened, file.path)
        if descriptor is None:
            return
        try:
            await self._hash(file.digest, descriptor)
        finally:
            os.close(descriptor)
        self._round.contents += 1

    async def _hash(self, digest: Digest, descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        try:
            hashing = await self._tree.run(FileHash, descriptor, digest.algorithm)
            while count := await self._tree.run(hashing.step):
                self._round.read_bytes += count
                self._metrics.scrubbed_bytes.inc(count)
                await self._pause(count)
            await self._tree.run(hashing.let_go)
        except StoreUnavailable:
            await self._set_aside(digest, "it can't be read", inode)
            return
        if hashing.hexdigest() != digest.hex:
            await self._set_aside(digest, "its bytes don't have its digest", inode)
        else:
            self._store.integrity.note_good(digest, hashing.stamp)

    async def _set_aside(self, digest: Digest, why: str, inode: int) -> None:
        self._round.damaged += 1
        self._store.doubt(digest)
        await self._tree.quarantine(digest, why, inode)

    async def _pause(self, size_bytes: int) -> None:
        await asyncio.sleep(size_bytes / MAX_BYTES_PER_SECOND)
        for _ in range(MAX_BUSY_PAUSES):
            if not self.is_busy():
                return
            await asyncio.sleep(BUSY_SECONDS)


def fraction(place: str) -> float:
    """Give how far a place is from the first to the last; digests are spread evenly."""
    algorithm, _, name = place.partition(":")
    if not name:
        return 0.0
    kinds = list(Algorithm)
    return (kinds.index(Algorithm(algorithm)) + int(name[:8], 16) / 0x1_0000_0000) / len(kinds)


def _opened(path: str) -> int | None:
    try:
        return open_content(path)
    except FileNotFoundError:
        return None
