"""A flight's file: made with its room claimed, marked as it grows, kept if it is interrupted."""

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable, Unavailable
from proxy.oci.span import ByteSpan
from proxy.registry.growing import GrowingFile
from proxy.registry.interrupted import WORTH_KEEPING_BYTES, Mark, discard, sync_and_mark
from proxy.registry.room import Claim
from proxy.registry.spool import SpoolFile, open_spool_file
from proxy.registry.tree import Tree

_REOPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An open file for *size* bytes (None: nobody knows), of which so many are *here*."""

    path: Path
    descriptor_number: int
    size: int | None
    here: int = 0


class FlightFile:
    """What a flight does with its file in the spool."""

    def __init__(self, tree: Tree, digest: Digest) -> None:
        self._tree = tree
        self._digest = digest

    async def create(self, size: int | None, claim: Claim) -> OpenFile:
        """Make a file; where there is no room, what was interrupted goes for it.

        Raises: StoreUnavailable.
        """
        try:
            return await self._create(size, claim)
        except StoreUnavailable:
            marks = self._tree.interrupted.take_all()
            if not marks:
                raise
            await self._discard(*(mark.path for mark in marks))
        return await self._create(size, claim)

    async def _create(self, size: int | None, claim: Claim) -> OpenFile:
        await claim.cover(size or 0)
        path, number = await open_spool_file(self._tree, size)
        claim.is_allocated = size is not None
        return OpenFile(path, number, size)

    def spool(self, file: OpenFile, growing: GrowingFile) -> SpoolFile:
        """Give what writes the file, and marks how far it is each time that it is synced."""
        if file.here:
            growing.note(ByteSpan(0, file.here))

        def record(descriptor_number: int, here: int) -> None:
            if file.size is None or here < WORTH_KEEPING_BYTES:
                os.fdatasync(descriptor_number)
                return
            sync_and_mark(Mark(self._digest, file.path, file.size, here), descriptor_number)

        algorithm = self._digest.algorithm
        spool = SpoolFile(file.path, file.descriptor_number, algorithm, self._tree, growing.note)
        spool.begin_with(file.here)
        spool.record = record
        return spool

    # --- what was interrupted ---------------------------------------------------------------------

    def take_mark(self) -> Mark | None:
        """Give what an earlier flight left, if one did; it is the caller's from here on."""
        return self._tree.interrupted.take(self._digest)

    async def reopen(self, mark: Mark, here: int, claim: Claim) -> OpenFile | None:
        """Open what an earlier flight left; None if that can't be had any more."""
        claim.is_allocated = True
        try:
            await claim.cover(mark.size)
            number = os.open(mark.path, _REOPEN)
        except (StoreUnavailable, OSError):
            return None
        return OpenFile(mark.path, number, mark.size, here)

    async def keep(self, mark: Mark) -> None:
        """Leave what is here for the next flight."""
        await self._discard(*(each.path for each in self._tree.interrupted.leave(mark)))

    async def drop(self, mark: Mark) -> None:
        """Remove what can't be gone on with."""
        await self._discard(mark.path)

    # --- the end ----------------------------------------------------------------------------------

    async def leave(self, spool: SpoolFile, size: int | None, exc: BaseException) -> None:
        """Keep what is here of a flight that was interrupted; whatever else ended it, let go."""
        await spool.quiet()
        is_interrupted = isinstance(exc, (asyncio.CancelledError, Unavailable))
        is_kept = is_interrupted and not isinstance(exc, StoreUnavailable)
        if not is_kept or size is None or spool.front < WORTH_KEEPING_BYTES:
            await self.let_go(spool)
            return
        mark = Mark(self._digest, spool.path, size, spool.front)
        try:
            await self._tree.run(sync_and_mark, mark, spool.descriptor_number)
        except StoreUnavailable:
            await self.let_go(spool)
        else:
            await self.keep(mark)

    async def let_go(self, spool: SpoolFile) -> None:
        """Remove the file, unless it has entered the tree."""
        await spool.quiet()
        await self._discard(spool.path)

    async def _discard(self, *paths: Path) -> None:
        """Remove files from the spool; what can't be is a leftover."""
        for path in paths:
            with suppress(StoreUnavailable):
                await self._tree.run(discard, path)
