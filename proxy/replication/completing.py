"""What a client pulled a part of is completed: its node had some layers already, another has none.

A client fetches what it lacks right after the manifest. So an image that was pulled is looked at a
while later, and what is missing of it then is copied, for the platform that was pulled alone.
"""

import asyncio
from collections import deque

from proxy.oci.digest import Digest
from proxy.oci.errors import Absent, StoreUnavailable
from proxy.oci.manifest import INDEX_TYPES, children_of
from proxy.oci.reference import Repository
from proxy.oci.request import BlobPull
from proxy.registry.clock import Clock
from proxy.registry.puller import Bytes
from proxy.registry.store import Store
from proxy.replication.journal import Journal
from proxy.replication.work import Job, Kind, Target, Trigger

LOOK_AFTER_SECONDS = 30.0
LOOK_EVERY_SECONDS = 5.0
MAX_WAITING = 10_000


class Completing:
    """Hears of pulled manifests; `run` is the task that looks at them later."""

    def __init__(self, journal: Journal, store: Store, clock: Clock) -> None:
        self._journal = journal
        self._store = store
        self._clock = clock
        self._waiting: deque[tuple[float, Repository, Digest]] = deque(maxlen=MAX_WAITING)

    def hear(self, repository: Repository, content: Bytes) -> None:
        """Note that a client pulled a manifest. Plain and quick: it is told at pulls."""
        descriptor = content.resolution.descriptor
        if descriptor.media_type not in INDEX_TYPES:
            due_at = self._clock.now() + LOOK_AFTER_SECONDS
            self._waiting.append((due_at, repository, descriptor.digest))

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Look at what is due."""
        now = self._clock.now()
        due = []
        while self._waiting and self._waiting[0][0] <= now:
            _, repository, digest = self._waiting.popleft()
            due.append((repository, digest))
        for repository, digest in dict.fromkeys(due):
            if await self._is_incomplete(repository, digest):
                target = Target(Kind.MANIFEST, repository, digest)
                try:
                    await self._journal.take([Job(target, Trigger.PULL, self._clock.wall())])
                except StoreUnavailable:
                    return  # the next pull of it tells again

    async def _is_incomplete(self, repository: Repository, digest: Digest) -> bool:
        """Say whether a layer or the config of an image isn't here."""
        try:
            manifest = await self._store.manifest(repository, digest)
            for child in children_of(manifest.data):
                await self._store.resolve(BlobPull(repository, child.digest))
        except Absent:
            return True
        except StoreUnavailable:
            return False
        return False
