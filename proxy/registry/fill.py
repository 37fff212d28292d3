"""Fills: what is missing here is brought from the primary once, for everybody who asks.

A pull is answered, in this order, by the store; by bytes that are here under another repository,
once the primary confirmed them for this one; by a running flight; by a new flight. A store that
can't keep anything makes this a pass-through, bounded in number, never an error.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from proxy.oci.digest import Digest
from proxy.oci.errors import (
    Absent,
    ContentMismatch,
    Denied,
    RegistryError,
    StoreUnavailable,
    Unauthorized,
    Unavailable,
)
from proxy.oci.reference import Repository
from proxy.oci.request import BlobPull, ManifestPull, Pull
from proxy.oci.span import ByteSpan, RangeRequest
from proxy.registry.expiring import ExpiringCache
from proxy.registry.fetcher import Fetcher
from proxy.registry.flight import Flight
from proxy.registry.layout import LinkKind
from proxy.registry.primary import Fetched
from proxy.registry.puller import Content, File, Resolution
from proxy.registry.single_flight import SingleFlight
from proxy.registry.store import Store, bytes_content, part_of, pulled_digest
from proxy.registry.uncached import Uncached
from proxy.telemetry import Telemetry
from proxy.telemetry.labels import FillEnd, Origin

NEGATIVE_SECONDS = 2.0
MISMATCH_SECONDS = 30.0
MAX_NEGATIVES = 10_000


@dataclass(frozen=True, slots=True)
class FillLimits:
    """How many flights at once, how many of them without a follower; what is held back."""

    tail_bytes: int
    max_concurrent: int
    max_orphans: int
    may_serve_unverified_parts: bool


class CacheFill:
    """The store, filled from the primary on a miss. Pulls are by digest here."""

    def __init__(
        self,
        store: Store,
        fetcher: Fetcher,
        uncached: Uncached,
        limits: FillLimits,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._fetcher = fetcher
        self._uncached = uncached
        self._limits = limits
        self._log = telemetry.log
        self._metrics = telemetry.metrics
        self._slots = asyncio.Semaphore(limits.max_concurrent)
        self._flights: dict[Digest, Flight] = {}
        self._tasks: dict[Digest, asyncio.Task[None]] = {}
        self._manifests: SingleFlight[tuple[Repository, Digest], Fetched] = SingleFlight()
        self._negatives = ExpiringCache(MAX_NEGATIVES)

    # --- the contract -----------------------------------------------------------------------------

    async def resolve(self, pull: Pull) -> Resolution:
        """Give the descriptor; a blob that is missing is not fetched for it."""
        try:
            return await self._store.resolve(pull)
        except (Absent, StoreUnavailable):
            pass
        if isinstance(pull, ManifestPull):
            return (await self._fill_manifest(pull, None)).resolution
        return await self._fetcher.resolve(pull)

    async def open(self, pull: Pull, part: RangeRequest | None = None) -> Content:
        """Give the content, from here or as it arrives; see `Puller.open`."""
        if (content := self._store.at_hand(pull)) is not None:
            return part_of(content, part)
        try:
            return await self._store.open(pull, part)
        except Absent:
            pass
        except StoreUnavailable:
            return await self._uncached.open(pull, part)
        await self._raise_if_negative(pull)
        try:
            if isinstance(pull, ManifestPull):
                return await self._fill_manifest(pull, part)
            return await self._fill_blob(pull, part)
        except StoreUnavailable:
            return await self._uncached.open(pull, part)
        except Absent as exc:
            await self._negatives.set((pull.repository, pull.path), exc, ttl=NEGATIVE_SECONDS)
            raise
        except ContentMismatch as exc:
            await self._negatives.set((pull.repository, pull.path), exc, ttl=MISMATCH_SECONDS)
            raise

    async def _raise_if_negative(self, pull: Pull) -> None:
        known: RegistryError | None = await self._negatives.get((pull.repository, pull.path))
        if known is not None:
            raise known

    async def forget_negatives(self) -> None:
        """Drop what is remembered as absent: something was pushed."""
        await self._negatives.clear()

    # --- manifests --------------------------------------------------------------------------------

    async def _fill_manifest(self, pull: ManifestPull, part: RangeRequest | None) -> Content:
        key = (pull.repository, pulled_digest(pull))
        is_leader = not self._manifests.is_running(key)
        try:
            fetched = await self._manifests.run(key, lambda: self._fetch_manifest(pull))
        except (Unauthorized, Denied):
            if is_leader:
                raise
            fetched = await self._fetch_manifest(pull)  # the leader's refusal isn't ours
        manifest = fetched.manifest
        origin = Origin.FILL if is_leader else Origin.FOLLOWER
        return part_of(bytes_content(manifest.descriptor, manifest.data, origin), part)

    async def _fetch_manifest(self, pull: ManifestPull) -> Fetched:
        fetched = await self._fetcher.manifest(pull)
        if fetched.is_storable:
            await self.keep_manifest(pull.repository, fetched)
        return fetched

    async def keep_manifest(self, repository: Repository, fetched: Fetched) -> bool:
        """Store what was fetched; say whether that worked. It is served in any case."""
        try:
            await self._store.put_manifest(repository, fetched.manifest)
        except StoreUnavailable:
            self._metrics.fill_ended(FillEnd.UNCACHED)
            return False
        self._metrics.distinct_bytes.inc(len(fetched.manifest.data))
        self._metrics.fill_ended(FillEnd.COMMITTED)
        return True

    # --- blobs ------------------------------------------------------------------------------------

    async def _fill_blob(self, pull: BlobPull, part: RangeRequest | None) -> Content:
        """Join the flight of this digest, or start one, or link what is here already.

        What is here or on its way under other repositories is given to this one only after the
        primary confirmed it (`is_proven`). Whatever was awaited, the state is looked at again.
        """
        is_proven = False
        while True:
            flight = self._flights.get(pull.digest)
            if flight is not None:
                if is_proven or flight.serves(pull.repository):
                    flight.admit(pull, is_proven=is_proven)
                    return await self._follow(flight, pull, part, Origin.FOLLOWER)
            elif not await self._store.has_bytes(pull.digest):
                if pull.digest not in self._flights:
                    return await self._follow(self._start(pull), pull, part, Origin.FILL)
                continue
            elif is_proven:
                await self._store.tree.put_link(pull.repository, LinkKind.LAYER, pull.digest)
                with suppress(Absent):  # damaged: it was set aside, a flight brings it again
                    return await self._store.open(pull, part)
                continue
            await self._fetcher.resolve(pull)
            is_proven = True

    def _start(self, pull: BlobPull) -> Flight:
        flight = Flight(pull.digest, self._fetcher, self._store, self._limits.tail_bytes)
        flight.admit(pull, is_proven=False)
        self._flights[pull.digest] = flight
        self._tasks[pull.digest] = asyncio.create_task(self._fly(flight, pull))
        return flight

    async def _fly(self, flight: Flight, pull: BlobPull) -> None:
        started_at = asyncio.get_running_loop().time()
        end, error, size = FillEnd.BROKEN, "", 0
        try:
            async with self._slots:
                size = await flight.run()
            end = FillEnd.COMMITTED
            self._metrics.distinct_bytes.inc(size)
        except ContentMismatch as exc:
            end, error = FillEnd.MISMATCH, exc.message
        except StoreUnavailable as exc:
            end, error = FillEnd.UNCACHED, exc.message
        except RegistryError as exc:
            error = exc.message
        except asyncio.CancelledError:
            end = FillEnd.CANCELLED
            flight.fail(Unavailable("the fill was ended"))
            raise
        finally:
            del self._flights[flight.digest], self._tasks[flight.digest]
            self._metrics.fill_ended(end)
            seconds = asyncio.get_running_loop().time() - started_at
            self._log.info(
                f"fill.{end}",
                repository=pull.repository,
                digest=str(flight.digest),
                bytes=size,
                seconds=round(seconds, 4),
                error=error or None,
            )

    async def _follow(
        self, flight: Flight, pull: BlobPull, part: RangeRequest | None, origin: Origin
    ) -> Content:
        growing = await asyncio.shield(flight.opened)
        if (refusal := flight.refusal(pull.repository)) is not None:
            raise refusal
        span = ByteSpan(0, growing.size) if part is None else part.on(growing.size)
        growing.hold()
        growing.on_last_reader_left = self._limit_orphans
        is_part = self._limits.may_serve_unverified_parts and span.stop < growing.size
        return File(Resolution(flight.descriptor, origin), span, growing, is_part)

    # --- the end ----------------------------------------------------------------------------------

    def _limit_orphans(self) -> None:
        """Flights that nobody follows any more finish, up to a number; the youngest go first."""
        orphans = [
            digest
            for digest, flight in self._flights.items()
            if flight.growing is not None and flight.growing.readers == 0
        ]
        for digest in orphans[self._limits.max_orphans :]:
            self._tasks[digest].cancel()

    @property
    def flights(self) -> int:
        """How many flights are under way."""
        return len(self._flights)

    @property
    def followers(self) -> int:
        """How many clients follow a flight now."""
        growing = [flight.growing for flight in self._flights.values()]
        return sum(each.readers for each in growing if each is not None)

    async def drain(self, seconds: float) -> None:
        """Let flights finish for a while, then end them; nothing half-done stays."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks.values()), timeout=seconds)
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._manifests.close()
