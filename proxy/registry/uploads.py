"""Copies of uploads on their way to the primary, so that what was pushed here is never fetched.

Rules:
- Best effort: a copy is dropped rather than slowing or failing a push.
- Bounded: so many bytes and sessions in all, no more than the store has room for; a session that
  nobody goes on with is dropped.
- A copy holds exactly what the primary says it has: after a broken PATCH it is cut back to the
  primary's Range, or dropped.
- It enters the tree only when the primary answered 201 and our own hash agrees; only then is it
  linked, in the repository that it was pushed to.
"""

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path

from proxy.oci.digest import Algorithm, Digest
from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Repository
from proxy.registry.clock import Clock
from proxy.registry.ending import to_its_end
from proxy.registry.hashing import hash_file
from proxy.registry.integrity import Stamp
from proxy.registry.layout import LinkKind
from proxy.registry.room import Claim
from proxy.registry.spool import SpoolFile, open_spool_file, remove_spool_file
from proxy.registry.store import Store
from proxy.telemetry.metrics import Metrics

MAX_COPIES = 1024
IDLE_SECONDS = 3600.0
SLOWEST_WRITE_SECONDS = 0.1


@dataclass(slots=True)
class Copy:
    """One upload's bytes so far. `is_dropped` once it is of no use any more."""

    spool: SpoolFile
    path: Path
    used_at: float
    claim: Claim
    held_bytes: int = 0
    is_dropped: bool = field(default=False)


class UploadCopies:
    """The copies of all upload sessions that pass through, by the session's path."""

    def __init__(
        self,
        store: Store,
        budget_bytes: int,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._tree = store.tree
        self._integrity = store.integrity
        self._room = store.room
        self._budget = budget_bytes
        self._clock = clock
        self._metrics = metrics
        self._copies: dict[str, Copy] = {}
        self._held_bytes = 0
        self._open_copies = 0
        self._drops: set[asyncio.Task[None]] = set()

    async def begin(self, algorithm: Algorithm = Algorithm.SHA256) -> Copy | None:
        """Start a copy; None if there is no room for one."""
        self._drop_idle()
        if self._open_copies >= MAX_COPIES or self._held_bytes >= self._budget:
            return None
        self._open_copies += 1
        try:
            path, descriptor = await open_spool_file(self._tree, None)
        except BaseException as exc:
            self._open_copies -= 1
            if isinstance(exc, StoreUnavailable):
                return None
            raise
        spool = SpoolFile(path, descriptor, algorithm, self._tree, lambda _: None)
        claim = self._room.claim()
        claim.is_allocated = True  # what it has is on the disk already
        return Copy(spool, path, self._clock.now(), claim)

    def remember(self, session: str, copy: Copy) -> None:
        """Keep a copy for the next request of its session."""
        if copy.is_dropped:
            return
        if (other := self._copies.pop(session, None)) is not None:
            self._drop_behind(other)
        copy.used_at = self._clock.now()
        self._copies[session] = copy

    def take(self, session: str) -> Copy | None:
        """Give a session's copy and stop keeping it: one request at a time has it."""
        return self._copies.pop(session, None)

    async def add(self, copy: Copy, chunk: bytes) -> None:
        """Add bytes that are on their way to the primary; drop the copy if that takes long.

        Nothing here waits for a disk that hangs: the push goes on.
        """
        if copy.is_dropped:
            return
        if self._held_bytes + len(chunk) > self._budget:
            self._drop_behind(copy)
            return
        copy.held_bytes += len(chunk)
        self._held_bytes += len(chunk)
        try:
            async with asyncio.timeout(SLOWEST_WRITE_SECONDS):
                await copy.claim.cover_growing(copy.held_bytes)
                await copy.spool.write(chunk)
        except (TimeoutError, StoreUnavailable):
            self._drop_behind(copy)

    async def cut_back(self, copy: Copy, size: int) -> None:
        """Make a copy hold what the primary says it has; drop it where that is more."""
        if copy.is_dropped or copy.spool.accepted == size:
            return
        if copy.spool.accepted < size:
            await self.drop(copy)
            return
        try:
            await copy.spool.cut_back(size)
        except StoreUnavailable:
            await self.drop(copy)
        else:
            self._held_bytes -= copy.held_bytes - size
            copy.held_bytes = size

    async def keep(self, copy: Copy, repository: Repository, digest: Digest) -> bool:
        """Let a copy enter the tree: the primary accepted the upload as *digest*.

        Gives whether it did. It doesn't where our own hash differs.
        """
        if copy.is_dropped:
            return False
        try:
            if await self._digest_of(copy, digest.algorithm) != digest:
                return False
            copy.claim.name(digest)
            await to_its_end(self._tree.commit(copy.path, copy.spool.descriptor_number, digest))
            self._integrity.note_good(digest, Stamp.of(copy.spool.descriptor_number))
            await self._tree.put_link(repository, LinkKind.LAYER, digest)
        except StoreUnavailable:
            return False
        else:
            self._metrics.kept_push_bytes.inc(copy.spool.written)
            return True
        finally:
            await self.drop(copy)

    async def _digest_of(self, copy: Copy, algorithm: Algorithm) -> Digest:
        """Give a copy's digest; read it once more where it was begun under another algorithm."""
        found = await copy.spool.finish()
        if found.algorithm is algorithm:
            return found
        return await to_its_end(self._tree.run(_hashed, copy.spool.descriptor_number, algorithm))

    async def drop(self, copy: Copy) -> None:
        """Let go of a copy; its file is removed unless it has entered the tree."""
        if self._is_let_go(copy):
            await to_its_end(self._remove(copy))

    def _drop_behind(self, copy: Copy) -> None:
        if self._is_let_go(copy):
            task = asyncio.create_task(self._remove(copy))
            self._drops.add(task)
            task.add_done_callback(self._drops.discard)

    def _is_let_go(self, copy: Copy) -> bool:
        """Give a copy's budget back; False if that was done before."""
        if copy.is_dropped:
            return False
        copy.is_dropped = True
        self._held_bytes -= copy.held_bytes
        self._open_copies -= 1
        return True

    async def _remove(self, copy: Copy) -> None:
        await copy.spool.quiet()
        os.close(copy.spool.descriptor_number)
        await remove_spool_file(self._tree, copy.path)
        copy.claim.release()

    def _drop_idle(self) -> None:
        now = self._clock.now()
        idle = [key for key, copy in self._copies.items() if now - copy.used_at > IDLE_SECONDS]
        for session in idle:
            self._drop_behind(self._copies.pop(session))

    async def close(self) -> None:
        """Drop all copies and wait until they are gone."""
        for copy in self._copies.values():
            self._drop_behind(copy)
        self._copies.clear()
        if self._drops:
            await asyncio.wait(tuple(self._drops))


def _hashed(descriptor_number: int, algorithm: Algorithm) -> Digest:
    digits, _ = hash_file(descriptor_number, algorithm)
    return Digest(algorithm, digits)
