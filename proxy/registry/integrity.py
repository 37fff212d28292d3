"""Whether a file in the tree may be sent without reading it first.

A file is hashed on its first whole serve after a start, or after its inode, size or time of
change differ from when it was hashed. Between two hashes the scrub has to find what rots. One that
a reader can't read is doubted: hashed again, and opened by nobody before that has ended.
"""

import asyncio
import os
from dataclasses import dataclass
from functools import partial

from proxy.oci.digest import Digest
from proxy.oci.errors import ContentMismatch, RegistryError, StoreUnavailable
from proxy.registry.bounded import BoundedMap
from proxy.registry.growing import GrowingFile
from proxy.registry.tree import Tree

HASH_STEP_BYTES = 1 << 20
MAX_REMEMBERED = 200_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file from another."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, descriptor_number: int) -> "Stamp":
        """Give the stamp of an open file."""
        found = os.fstat(descriptor_number)
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class Integrity:
    """Remembers which states of which files were hashed; hashes the others while they are sent."""

    def __init__(self, tree: Tree, tail_bytes: int) -> None:
        self._tree = tree
        self._tail_bytes = tail_bytes
        self._good: BoundedMap[Digest, Stamp] = BoundedMap(MAX_REMEMBERED)
        self._checks: dict[tuple[Digest, Stamp], GrowingFile] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._doubts: dict[Digest, asyncio.Task[None]] = {}

    def is_good(self, digest: Digest, stamp: Stamp) -> bool:
        """Say whether this very state of the file was hashed."""
        return self._good.get(digest) == stamp

    def note_good(self, digest: Digest, stamp: Stamp) -> None:
        """Note that this state of the file has the digest."""
        self._good.put(digest, stamp)

    def vouch(self, digest: Digest, growing: GrowingFile, stamp: Stamp) -> None:
        """As `note_good`, for a file that is read: whoever can't do that has it looked at again."""
        self.note_good(digest, stamp)
        growing.on_read_failed = partial(self._doubt, digest, growing.descriptor_number, stamp)

    def forget(self, digest: Digest) -> None:
        """Forget that a file was good, so that its next serve looks at it again."""
        self._good.drop(digest)

    def reader(self, digest: Digest, descriptor_number: int, stamp: Stamp) -> GrowingFile:
        """Give the file to read from, held for the caller; takes over the descriptor.

        A file that wasn't hashed yet is hashed once for all who read it meanwhile; its tail is
        held back until the digest agrees.
        """
        if self.is_good(digest, stamp):
            growing = GrowingFile(descriptor_number, stamp.size, 0)
            growing.arrived = stamp.size
            growing.verified()
            self.vouch(digest, growing, stamp)
            return growing
        running = self._checks.get((digest, stamp))
        if running is not None and running.hold():
            os.close(descriptor_number)
            return running
        growing = GrowingFile(descriptor_number, stamp.size, self._tail_bytes)
        growing.hold()
        self._own(asyncio.create_task(self._check(digest, growing, stamp)))
        self._checks[digest, stamp] = growing
        return growing

    def _own(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _doubt(self, digest: Digest, descriptor_number: int, stamp: Stamp) -> None:
        """Hash a state again that could be read before and can't be now, once for all who tell."""
        if not self.is_good(digest, stamp) or (digest, stamp) in self._checks:
            return
        self._good.drop(digest)
        growing = GrowingFile(os.dup(descriptor_number), stamp.size, self._tail_bytes)
        task = asyncio.create_task(self._check(digest, growing, stamp))
        self._own(task)
        self._checks[digest, stamp] = growing
        self._doubts[digest] = task
        task.add_done_callback(lambda _: self._doubts.pop(digest, None))

    async def settled(self, digest: Digest) -> None:
        """Wait until a file that is doubted has been found good, or set aside."""
        if (task := self._doubts.get(digest)) is not None:
            await asyncio.wait((task,))

    async def _check(self, digest: Digest, growing: GrowingFile, stamp: Stamp) -> None:
        try:
            await self._hash(digest, growing)
            self.vouch(digest, growing, stamp)
            growing.verified()
        except ContentMismatch as exc:  # set aside first: who comes again doesn't find it
            await self._set_aside(digest, stamp, "its bytes don't have its digest")
            growing.failed(exc)
        except StoreUnavailable as exc:
            await self._set_aside(digest, stamp, "it can't be read")
            growing.failed(exc)
        finally:
            growing.failed(StoreUnavailable())  # no effect on one that has ended
            del self._checks[digest, stamp]
            growing.release()

    async def _hash(self, digest: Digest, growing: GrowingFile) -> None:
        hasher = digest.algorithm.hasher()

        def step(offset: int) -> int:
            data = os.pread(growing.descriptor_number, HASH_STEP_BYTES, offset)
            hasher.update(data)
            return len(data)

        while growing.arrived < growing.size:
            count = await self._tree.run(step, growing.arrived)
            if count == 0:
                break
            growing.advance(count)
        if growing.arrived != growing.size or hasher.hexdigest() != digest.hex:
            raise ContentMismatch

    async def _set_aside(self, digest: Digest, stamp: Stamp, why: str) -> None:
        try:
            await self._tree.quarantine(digest, why, stamp.inode)
        except RegistryError:
            return  # a read-only store: the next reader finds the same

    async def close(self) -> None:
        """End the running checks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
