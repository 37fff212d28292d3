"""A store whose accounts are kept, without the background task: tests say when it looks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.registry.capacity import Capacity
from proxy.registry.integrity import Integrity
from proxy.registry.room import Limits, Room
from proxy.registry.sidecar import Sidecar
from proxy.registry.store import Store
from proxy.registry.tree import Tree
from tests.registry_store.ground import TAIL_BYTES, Heard, ManualClock
from tests.support.store_tree import visible_blobs


@dataclass(slots=True)
class Accounts:
    """An open store with its accounts."""

    store: Store
    sidecar: Sidecar
    capacity: Capacity
    clock: ManualClock
    heard: Heard

    @property
    def room(self) -> Room:
        return self.store.room

    @property
    def here(self) -> dict[str, int]:
        """What the tree shows, with sizes."""
        blobs = visible_blobs(self.store.tree.layout.root)
        return {digest: path.stat().st_size for digest, path in blobs.items()}

    async def keep(self, data: bytes, *, is_pulled: bool = False) -> bool:
        """Bring a content as a fill does; say whether there was room for it."""
        digest = Digest.of(data)
        with self.room.claimed(digest) as claim:
            if is_pulled:
                self.pull(digest)
            try:
                await claim.cover(len(data))
            except StoreUnavailable:
                return False
            await self.store.tree.put_bytes(digest, data)
        return True

    def pull(self, digest: Digest) -> None:
        """Note a pull as news."""
        self.capacity.usage.begin_minute()
        if self.capacity.usage.touch(digest):
            self.room.note_pulled(digest)

    async def look(self) -> bool:
        """Do what the background task does every few seconds."""
        return await self.capacity._look()

    async def count_around(self, digest: Digest) -> None:
        """Count the part of the tree that a content is in."""
        first = digest.hex[:2]
        folder = self.store.tree.layout.registry / "blobs" / digest.algorithm / first
        assert await self.capacity._recount._count(folder, digest.algorithm, int(first, 16))

    async def count(self) -> None:
        """Count the tree."""
        assert await self.capacity._recount.run()
        await self.capacity.usage.settle()


@asynccontextmanager
async def opened_accounts(
    root: Path, heard: Heard, clock: ManualClock, limits: Limits
) -> AsyncIterator[Accounts]:
    """Open the store at *root*; its accounts and checks are closed at the end."""
    tree = Tree(root, heard.telemetry)
    await tree.open()
    sidecar = Sidecar(tree.layout.sidecar)
    await sidecar.open()
    integrity = Integrity(tree, TAIL_BYTES)
    store = Store(tree, integrity, 1 << 20, may_serve_unverified_parts=True, room=Room(limits))
    capacity = Capacity(store, sidecar, clock, heard.telemetry)
    try:
        yield Accounts(store, sidecar, capacity, clock, heard)
    finally:
        await capacity.close()
        await integrity.close()
        await sidecar.close()
        await tree.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
