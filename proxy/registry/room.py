"""Room in the store: who claims how much of it, and what is in use and may not go.

Rules:
- What is written claims its size before its first byte. A claim is granted when what is stored,
  claimed and asked for is within the capacity, and the file system keeps its free space; where it
  isn't, as much as is missing is evicted first, or the claim is refused and nothing is evicted.
- What is claimed or read is in use, and stays.
- Above the high mark somebody is told, who evicts down to the low mark, at leisure.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable

ADMIT_WITHIN_SECONDS = 5.0
AHEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the store may hold, and how much of the file system it leaves free; 0: no limit."""

    capacity_bytes: int = 0
    min_free_bytes: int = 0

    @property
    def high_bytes(self) -> int:
        """From here on contents are evicted before room is needed."""
        return self.capacity_bytes - self.capacity_bytes // 20

    @property
    def low_bytes(self) -> int:
        """Down to here: evicting in batches costs less than one for each that comes."""
        return self.capacity_bytes - self.capacity_bytes // 10

    @property
    def comfortable_free_bytes(self) -> int:
        """As `low_bytes`, for the free space."""
        return self.min_free_bytes + self.min_free_bytes // 10


class Claim:
    """Room for one content that is being written. Release it in any case.

    `is_allocated` once the file system has taken the space off what is free.
    """

    def __init__(self, room: "Room", digest: Digest | None) -> None:
        self._room = room
        self.digest = digest
        self.size = 0
        self.is_allocated = False

    def name(self, digest: Digest) -> None:
        """Say which content it is, where that wasn't known at the start."""
        if self.digest is None:
            self.digest = digest
            self._room.hold(digest)

    async def cover(self, size: int) -> None:
        """Claim *size* bytes in all.

        Raises: StoreUnavailable: there is no room for them, nor can any be made.
        """
        if size > self.size:
            await self._room.admit(self, size)

    async def cover_growing(self, size: int) -> None:
        """As `cover`, and some more, for one that is asked again and again."""
        if size > self.size:
            await self._room.admit(self, size + min(size // 8, AHEAD_BYTES))

    def release(self) -> None:
        """Give the room back: the content is stored by now and counts as that, or was given up."""
        self._room.release(self)


class Room:
    """The ledger. What is stored, what is free and who evicts is told by others."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._claims: set[Claim] = set()
        self._in_use: Counter[Digest] = Counter()
        self._pulled_in_use: set[Digest] = set()
        self._admitting = asyncio.Lock()
        self.refusals = 0
        self.stored_bytes: Callable[[], int] = lambda: 0
        self.free_bytes: Callable[[], Awaitable[int]] = _unknown
        self.make_room: Callable[[int], Awaitable[bool]] = _cannot
        self.on_high: Callable[[], None] = lambda: None

    # --- what is in use ---------------------------------------------------------------------------

    def hold(self, digest: Digest) -> None:
        """Note that a content is being read."""
        self._in_use[digest] += 1

    def let_go(self, digest: Digest) -> None:
        """Note that one of those who read it is done."""
        self._in_use[digest] -= 1
        if self._in_use[digest] <= 0:
            del self._in_use[digest]
            self._pulled_in_use.discard(digest)

    @property
    def in_use(self) -> tuple[Digest, ...]:
        """What is being read or written."""
        return tuple(self._in_use)

    def is_in_use(self, digest: Digest) -> bool:
        """Say whether a content is being read or written."""
        return digest in self._in_use

    def note_pulled(self, digest: Digest) -> None:
        """Note that a client asked for a content; it may be on its way here."""
        if digest in self._in_use:
            self._pulled_in_use.add(digest)

    def was_pulled_in_use(self, digest: Digest) -> bool:
        """Say whether a client asked for a content while it was on its way."""
        return digest in self._pulled_in_use

    # --- claims -----------------------------------------------------------------------------------

    def claim(self, digest: Digest | None = None) -> Claim:
        """Begin a claim, of nothing yet; *digest* is in use while it lasts."""
        claim = Claim(self, digest)
        self._claims.add(claim)
        if digest is not None:
            self.hold(digest)
        return claim

    @contextmanager
    def claimed(self, digest: Digest | None = None) -> Iterator[Claim]:
        """Begin a claim that ends with the block."""
        claim = self.claim(digest)
        try:
            yield claim
        finally:
            claim.release()

    def release(self, claim: Claim) -> None:
        """End a claim; see `Claim.release`."""
        if claim in self._claims:
            self._claims.remove(claim)
            if claim.digest is not None:
                self.let_go(claim.digest)

    def note_stored(self, digest: Digest) -> None:
        """A content entered the tree: from now on it counts there, and no longer as claimed."""
        for claim in self._claims:
            if claim.digest == digest:
                claim.size = 0
                claim.is_allocated = True
        self.tell_if_high()

    def tell_if_high(self) -> None:
        """Tell if more is stored and claimed than is comfortable."""
        if self.limits.capacity_bytes and self.taken_bytes > self.limits.high_bytes:
            self.on_high()

    @property
    def claimed_bytes(self) -> int:
        """What is claimed and not stored yet."""
        return sum(claim.size for claim in self._claims)

    @property
    def taken_bytes(self) -> int:
        """What is stored or claimed."""
        return self.stored_bytes() + self.claimed_bytes

    @property
    def is_full(self) -> bool:
        """Say whether what nobody asked for would push out something else sooner or later."""
        return bool(self.limits.capacity_bytes) and self.taken_bytes >= self.limits.low_bytes

    async def admit(self, claim: Claim, size: int) -> None:
        """Let a claim grow to *size*; see `Claim.cover`."""
        more = size - claim.size
        is_quick = not self.limits.min_free_bytes and not self._admitting.locked()
        if not (is_quick and self._beyond_capacity(more) <= 0):
            await self._admit_in_turn(claim, more)
        claim.size += more
        self.tell_if_high()

    async def _admit_in_turn(self, claim: Claim, more: int) -> None:
        try:
            async with asyncio.timeout(ADMIT_WITHIN_SECONDS), self._admitting:
                if await self._is_room_made(claim, more):
                    return
        except TimeoutError:
            pass
        self.refusals += 1
        raise StoreUnavailable("there is no room in the store")

    async def _is_room_made(self, claim: Claim, more: int) -> bool:
        if 0 < self.limits.capacity_bytes < claim.size + more:
            return False
        missing = await self._missing(more)
        return missing <= 0 or (await self.make_room(missing) and await self._missing(more) <= 0)

    async def _missing(self, more: int) -> int:
        """Give how many bytes have to go before *more* may come; none if that is negative."""
        by_capacity = self._beyond_capacity(more)
        if not self.limits.min_free_bytes:
            return by_capacity
        promised = sum(claim.size for claim in self._claims if not claim.is_allocated)
        free = await self.free_bytes()
        return max(by_capacity, self.limits.min_free_bytes + promised + more - free)

    def _beyond_capacity(self, more: int) -> int:
        if not self.limits.capacity_bytes:
            return 0
        return self.taken_bytes + more - self.limits.capacity_bytes

    async def excess(self) -> int:
        """Give how many bytes should go, if it is time; 0 if not."""
        limits, excess = self.limits, 0
        if limits.capacity_bytes and self.taken_bytes > limits.high_bytes:
            excess = self.taken_bytes - limits.low_bytes
        if limits.min_free_bytes and (free := await self.free_bytes()) < limits.min_free_bytes:
            excess = max(excess, limits.comfortable_free_bytes - free)
        return excess


async def _unknown() -> int:
    return 1 << 62


async def _cannot(_: int) -> bool:
    return False
