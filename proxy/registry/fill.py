"""Fills: what is missing here is brought from the primary once, for everybody who asks.

A pull is answered, in this order, by the store; by bytes that are here under another repository,
once the primary confirmed them for this one; by a running flight; by a new flight. A store that
can't keep anything makes this a pass-through, bounded in number, never an error.
"""

import asyncio
from contextlib import suppress

from proxy.oci.digest import Digest
from proxy.oci.errors import (
    Absent,
    ContentMismatch,
    Denied,
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
from proxy.registry.flights import FillLimits, Flights
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
        self._metrics = telemetry.metrics
        self._manifests: SingleFlight[tuple[Repository, Digest], Fetched] = SingleFlight()
        self._negatives = Negatives()
        self._flights = Flights(fetcher, store, limits, self._negatives, telemetry)

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
            return await self._open_kept(pull, part)
        except StoreUnavailable:
            return await self._uncached.open(pull, part)

    async def _open_kept(self, pull: Pull, part: RangeRequest | None) -> Content:
        """Give the content out of the store, where it is or will be.

        Raises: StoreUnavailable: it isn't there and can't be kept.
        """
        if isinstance(pull, BlobPull) and (flight := self._on_its_way(pull)) is not None:
            flight.sources.admit(pull, is_proven=False)  # the disk isn't asked for each of a crowd
            return await self._follow(flight, pull, part, Origin.FOLLOWER)
        with suppress(Absent):
            return await self._store.open(pull, part)
        if isinstance(pull, BlobPull) and not self.is_fetching(pull.digest):
            self._store.tree.health.require_writable()
        return await self._fill(pull, part)

    def _on_its_way(self, pull: BlobPull) -> Flight | None:
        """Give the flight that brings a blob for this very repository."""
        flight = self._flights.joinable(pull.digest)
        return flight if flight is not None and flight.sources.serve(pull.repository) else None

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
        self._flights.withdraw(repository, digest)

    async def settled(self, digest: Digest) -> None:
        """Wait until a blob that is on its way is kept or given up."""
        await self._flights.settled(digest)

    def is_fetching(self, digest: Digest) -> bool:
        """Say whether a blob is on its way."""
        return self._flights.joinable(digest) is not None

    def withdraw_all(self, repository: Repository) -> None:
        """As `withdraw`, for every blob that is on its way."""
        self._flights.withdraw_all(repository)

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
            flight = self._flights.joinable(pull.digest)
            if flight is not None:
                if asked_at is not None or flight.sources.serve(pull.repository):
                    is_proven = asked_at is not None
                    flight.sources.admit(pull, is_proven=is_proven, asked_at=asked_at or 0.0)
                    return await self._follow(flight, pull, part, Origin.FOLLOWER)
            elif not await self._store.has_bytes(pull.digest):
                if self._flights.joinable(pull.digest) is None:
                    started = self._flights.start(pull, part)
                    return await self._follow(started, pull, part, Origin.FILL)
                continue
            elif asked_at is not None:
                link = (pull.repository, LinkKind.LAYER, pull.digest)
                await self._store.tree.confirm_link(*link, asked_at)
                with suppress(Absent):  # damaged: it was set aside, a flight brings it again
                    return await self._store.open(pull, part)
                asked_at = None  # or it was deleted after that: it takes another proof
                continue
            asked_at = moment()
            await self._fetcher.resolve(pull)

    async def _follow(
        self, flight: Flight, pull: BlobPull, part: RangeRequest | None, origin: Origin
    ) -> Content:
        try:
            growing = await self._joined(flight, pull)
        except BaseException:
            self._flights.limit_orphans()
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
        growing.on_last_reader_left = self._flights.limit_orphans
        try:
            await self._require_proof(flight, pull)
        except BaseException:
            growing.release()
            raise
        return growing

    async def _require_proof(self, flight: Flight, pull: BlobPull) -> None:
        if (refusal := flight.sources.refusal(pull)) is not None:
            raise refusal.with_traceback(None)
        if not flight.sources.has_proof_for(pull.repository):
            asked_at = moment()
            await self._fetcher.resolve(pull)
            flight.sources.admit(pull, is_proven=True, asked_at=asked_at)
            if flight.has_linked:
                link = (pull.repository, LinkKind.LAYER, pull.digest)
                await self._store.tree.confirm_link(*link, asked_at)

    # --- the end ----------------------------------------------------------------------------------

    @property
    def flights(self) -> int:
        """How many flights are under way."""
        return len(self._flights)

    @property
    def followers(self) -> int:
        """How many clients follow a flight now."""
        return self._flights.followers

    async def drain(self, seconds: float) -> None:
        """Let flights finish for a while, then end them; nothing half-done stays."""
        await self._flights.drain(seconds)
        await self._manifests.close()
