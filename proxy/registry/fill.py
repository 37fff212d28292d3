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
from proxy.registry.clock import moment
from proxy.registry.fetcher import Fetcher
from proxy.registry.flight import Flight
from proxy.registry.growing import GrowingFile
from proxy.registry.layout import LinkKind
from proxy.registry.negatives import Negatives
from proxy.registry.primary import Fetched
from proxy.registry.puller import Bytes, Content, File, Resolution
from proxy.registry.single_flight import SingleFlight
from proxy.registry.store import Store, bytes_content, part_of, pulled_digest
from proxy.registry.uncached import Uncached
from proxy.telemetry import Telemetry
from proxy.telemetry.labels import FillEnd, Origin


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
        self._tasks: dict[Flight, asyncio.Task[None]] = {}
        self._manifests: SingleFlight[tuple[Repository, Digest], Fetched] = SingleFlight()
        self._negatives = Negatives()

    # --- the contract -----------------------------------------------------------------------------

    async def resolve(self, pull: Pull) -> Resolution:
        """Give the descriptor; a blob that is missing is not fetched for it."""
        try:
            return await self._store.resolve(pull)
        except (Absent, StoreUnavailable):
            pass
        if isinstance(pull, ManifestPull):
            return (await self._fill(pull, None)).resolution
        return await self._fetcher.resolve(pull)

    async def open(self, pull: Pull, part: RangeRequest | None = None) -> Content:
        """Give the content, from here or as it arrives; see `Puller.open`."""
        try:
            return await self._store.open(pull, part)
        except Absent:
            pass
        except StoreUnavailable:
            return await self._uncached.open(pull, part)
        try:
            return await self._fill(pull, part)
        except StoreUnavailable:
            return await self._uncached.open(pull, part)

    def at_hand(self, pull: Pull) -> Bytes | None:
        """Give what the store has in memory; see `ReadyPuller.at_hand`."""
        return self._store.at_hand(pull)

    async def _fill(self, pull: Pull, part: RangeRequest | None) -> Content:
        await self._negatives.raise_if_known(pull)
        try:
            if isinstance(pull, ManifestPull):
                return await self._fill_manifest(pull, part)
            return await self._fill_blob(pull, part)
        except Absent as exc:
            await self._negatives.note_absent(pull, exc)
            raise

    async def forget_negatives(self) -> None:
        """Drop what is remembered as absent: something was pushed."""
        await self._negatives.forget_absent()

    def withdraw(self, repository: Repository, digest: Digest) -> None:
        """A blob was deleted: a flight that is under way serves this repository no more."""
        flight = self._flights.get(digest)
        if flight is not None:
            flight.withdraw(repository)

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
        try:
            fetched = await self._fetcher.manifest(pull)
        except ContentMismatch as exc:
            await self._negatives.note_mismatch(pulled_digest(pull), exc)
            raise
        if fetched.is_storable:
            await self.keep_manifest(pull.repository, fetched)
        return fetched

    async def keep_manifest(self, repository: Repository, fetched: Fetched) -> bool:
        """Store what was fetched; say whether that worked. It is served in any case."""
        try:
            await self._store.put_manifest(repository, fetched.manifest, fetched.asked_at)
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
        primary, asked at `asked_at`, confirmed it. Whatever was awaited, the state is looked at
        again.
        """
        asked_at: float | None = None
        while True:
            flight = self._joinable(pull.digest)
            if flight is not None:
                if asked_at is not None or flight.serves(pull.repository):
                    is_proven = asked_at is not None
                    flight.admit(pull, is_proven=is_proven, asked_at=asked_at or 0.0)
                    return await self._follow(flight, pull, part, Origin.FOLLOWER)
            elif not await self._store.has_bytes(pull.digest):
                if self._joinable(pull.digest) is None:
                    return await self._follow(self._start(pull), pull, part, Origin.FILL)
                continue
            elif asked_at is not None:
                link = (pull.repository, LinkKind.LAYER, pull.digest)
                await self._store.tree.confirm_link(*link, asked_at)
                with suppress(Absent):  # damaged: it was set aside, a flight brings it again
                    return await self._store.open(pull, part)
                continue
            asked_at = moment()
            await self._fetcher.resolve(pull)

    def _joinable(self, digest: Digest) -> Flight | None:
        """Give the flight of *digest* that may be joined: one that failed is only ending."""
        flight = self._flights.get(digest)
        return None if flight is None or flight.has_failed else flight

    def _start(self, pull: BlobPull) -> Flight:
        flight = Flight(pull.digest, self._fetcher, self._store, self._limits.tail_bytes)
        flight.admit(pull, is_proven=False)
        self._flights[pull.digest] = flight
        self._tasks[flight] = asyncio.create_task(self._fly(flight, pull))
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
            await self._negatives.note_mismatch(flight.digest, exc)
        except StoreUnavailable as exc:
            end, error = FillEnd.UNCACHED, f"{exc.message}: {exc.__cause__}"
        except RegistryError as exc:
            error = exc.message
        except asyncio.CancelledError:
            end = FillEnd.CANCELLED
            flight.fail(Unavailable("the fill was ended"))
            raise
        finally:
            self._forget(flight)
            flight.close()
            del self._tasks[flight]
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
        try:
            growing = await self._joined(flight, pull)
        except BaseException:
            self._limit_orphans()
            raise
        try:
            span = ByteSpan(0, growing.size) if part is None else part.on(growing.size)
            if span.stop < growing.size and not self._limits.may_serve_unverified_parts:
                await growing.visible_beyond(growing.size - 1)  # then all of it is verified
        except BaseException:
            growing.release()
            raise
        is_part = span.stop < growing.size
        return File(Resolution(flight.descriptor, origin), span, growing, is_part)

    async def _joined(self, flight: Flight, pull: BlobPull) -> GrowingFile:
        """Give the file of a flight, held for this pull.

        Raises: whatever the flight ends with; the primary's refusal of this very pull.
        """
        with flight.awaited():
            growing = await asyncio.shield(flight.opened)
            if not growing.hold():
                raise Unavailable("the fill ended meanwhile", retry_after_seconds=1)
        growing.on_last_reader_left = self._limit_orphans
        try:
            await self._require_proof(flight, pull)
        except BaseException:
            growing.release()
            raise
        return growing

    async def _require_proof(self, flight: Flight, pull: BlobPull) -> None:
        if (refusal := flight.refusal(pull)) is not None:
            raise refusal.with_traceback(None)
        if not flight.has_proof_for(pull.repository):
            asked_at = moment()
            await self._fetcher.resolve(pull)
            flight.admit(pull, is_proven=True, asked_at=asked_at)

    # --- the end ----------------------------------------------------------------------------------

    def _limit_orphans(self) -> None:
        """Flights that nobody follows any more finish, up to a number; the youngest go first.

        One that is cancelled is joined by nobody from here on.
        """
        orphans = [flight for flight in self._flights.values() if flight.is_orphan]
        for flight in orphans[self._limits.max_orphans :]:
            self._forget(flight)
            self._tasks[flight].cancel()

    def _forget(self, flight: Flight) -> None:
        if self._flights.get(flight.digest) is flight:
            del self._flights[flight.digest]

    @property
    def flights(self) -> int:
        """How many flights are under way."""
        return len(self._tasks)

    @property
    def followers(self) -> int:
        """How many clients follow a flight now."""
        return sum(flight.followers for flight in self._flights.values())

    async def drain(self, seconds: float) -> None:
        """Let flights finish for a while, then end them; nothing half-done stays."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks.values()), timeout=seconds)
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._manifests.close()
