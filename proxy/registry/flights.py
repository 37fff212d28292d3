"""The flights under way: one for each digest, so many at once, so many of them without a client.

A flight's task is owned here. One that failed or was cancelled is joined by nobody from then on.
"""

import asyncio
from dataclasses import dataclass

from proxy.oci.digest import Digest
from proxy.oci.errors import ContentMismatch, RegistryError, StoreUnavailable, Unavailable
from proxy.oci.reference import Repository
from proxy.oci.request import BlobPull
from proxy.oci.span import RangeRequest
from proxy.registry.bounded import BoundedMap
from proxy.registry.climb import LaneBudget
from proxy.registry.fetcher import Fetcher
from proxy.registry.flight import Flight
from proxy.registry.lanes import LaneRules
from proxy.registry.negatives import Negatives
from proxy.registry.pace import Pace
from proxy.registry.store import Store
from proxy.telemetry import Telemetry
from proxy.telemetry.labels import FillEnd

MAX_MISMATCHED = 1000


@dataclass(frozen=True, slots=True)
class FillLimits:
    """How many flights at once, how many of them without a follower; what is held back; how many
    connections one may have, and all of them together unless each has one only; how fast those
    come that no client waits for.
    """

    tail_bytes: int
    max_concurrent: int
    max_orphans: int
    may_serve_unverified_parts: bool
    max_lanes: int
    max_all_lanes: int
    pace: Pace


class Flights:
    """Starts flights, lets pulls find them, and ends those that are too many."""

    def __init__(
        self,
        fetcher: Fetcher,
        store: Store,
        limits: FillLimits,
        negatives: Negatives,
        telemetry: Telemetry,
    ) -> None:
        self._fetcher = fetcher
        self._store = store
        self._limits = limits
        self._negatives = negatives
        self._log = telemetry.log
        self._metrics = telemetry.metrics
        budget = LaneBudget(limits.max_all_lanes)
        self._lanes = LaneRules(
            fetcher.weather, budget, limits.max_lanes, limits.pace, fetcher.note_break
        )
        self._slots = asyncio.Semaphore(limits.max_concurrent)
        self._flights: dict[Digest, Flight] = {}
        self._tasks: dict[Flight, asyncio.Task[None]] = {}
        self._mismatched: BoundedMap[Digest, Digest] = BoundedMap(MAX_MISMATCHED)

    def joinable(self, digest: Digest) -> Flight | None:
        """Give the flight of *digest* that may be joined: one that failed, or has made its links,
        is only ending.
        """
        flight = self._flights.get(digest)
        return None if flight is None or flight.has_failed or flight.has_linked else flight

    def start(self, pull: BlobPull, part: RangeRequest | None) -> Flight:
        """Begin to fetch a blob that nobody is fetching yet, *part* of it first.

        One that was wrong when it was put together comes in one piece.
        """
        is_large = self._store.announced_size(pull.digest) is not None
        is_whole = not is_large or self._mismatched.get(pull.digest) is not None
        wanted = None if is_whole else part or RangeRequest(0, None)
        flight = Flight(
            pull.digest, self._fetcher, self._store, self._limits.tail_bytes, self._lanes, wanted
        )
        flight.sources.admit(pull, is_proven=False)
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
            self._mismatched.put(flight.digest, flight.digest)
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

    async def settled(self, digest: Digest) -> None:
        """Wait until the flight of *digest*, if there is one, has committed or failed."""
        flight = self._flights.get(digest)
        if flight is not None:
            await asyncio.wait((self._tasks[flight],))

    def withdraw(self, repository: Repository, digest: Digest) -> None:
        """A blob was deleted: a flight that is under way serves this repository no more."""
        flight = self._flights.get(digest)
        if flight is not None:
            flight.sources.withdraw(repository)

    def withdraw_all(self, repository: Repository) -> None:
        """As `withdraw`, for every flight."""
        for flight in self._flights.values():
            flight.sources.withdraw(repository)

    def limit_orphans(self) -> None:
        """End flights that nobody follows any more, beyond a number of them; the youngest go first.

        One that is cancelled is joined by nobody from here on.
        """
        orphans = [flight for flight in self._flights.values() if flight.is_orphan]
        for flight in orphans[self._limits.max_orphans :]:
            self._forget(flight)
            self._tasks[flight].cancel()

    def _forget(self, flight: Flight) -> None:
        if self._flights.get(flight.digest) is flight:
            del self._flights[flight.digest]

    def __len__(self) -> int:
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
