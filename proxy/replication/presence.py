"""Presence: what was copied counts as complete as long as all of it is here.

Where capacity, a quarantine or a collection took something away the log says `evicted`, in the
entry that said `complete`, and the hub hears of it; where a pull brought it back, `complete` again.
The disk has the last word: bytes by their files, and the link of the artifact in its repository.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Repository
from proxy.registry.layout import Layout, LinkKind
from proxy.registry.tree import Tree
from proxy.replication.history import Entry, History
from proxy.replication.parts import Doubtful
from proxy.telemetry.labels import CopyEnd
from proxy.telemetry.logs import EventLog

LOOK_EVERY_SECONDS = 5.0
PORTION = 200


class Presence:
    """Keeps the log true. *write_index*: what has gathered of the index of contents is written."""

    def __init__(
        self,
        history: History,
        tree: Tree,
        write_index: Callable[[], Awaitable[object]],
        log: EventLog,
    ) -> None:
        self._history = history
        self._tree = tree
        self._write_index = write_index
        self._log = log

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            await self.look()

    async def look(self) -> int:
        """Look at whatever lost or got something since; give how many artifacts that were."""
        count = 0
        await self._write_index()
        try:
            while found := await self._history.parts.doubtful(PORTION):
                await self._settle(found)
                count += len(found)
        except StoreUnavailable:
            pass  # what wasn't settled is still doubtful
        return count

    async def _settle(self, found: Sequence[Doubtful]) -> None:
        """Bring the entries of some artifacts to what is here.

        Raises: StoreUnavailable.
        """
        parts = {part for each in found for part in each.parts}
        missing = await self._tree.run(_missing, self._tree.layout, parts)
        changed: list[tuple[Entry, CopyEnd]] = []
        for each in found:
            is_here = missing.isdisjoint(each.parts)
            for entry in await self._history.of_artifact(each.artifact):
                is_complete = is_here and await self._is_linked(entry)
                end = CopyEnd.COMPLETE if is_complete else CopyEnd.EVICTED
                if entry.end is not end:
                    changed.append((entry, end))
        await self._history.restate(changed, [each.settled for each in found])
        for entry, end in changed:
            self._tell(entry, end)

    async def _is_linked(self, entry: Entry) -> bool:
        repository, digest = Repository.parse(entry.repository), Digest.parse(entry.digest)
        kind = LinkKind.LAYER if entry.what == "blob" else LinkKind.MANIFEST
        return await self._tree.has_link(repository, kind, digest)

    def _tell(self, entry: Entry, end: CopyEnd) -> None:
        self._log.info(
            f"presence.{end}",
            repository=entry.repository,
            reference=entry.reference,
            digest=entry.digest,
            what=entry.what,
        )


def _missing(layout: Layout, digests: Iterable[Digest]) -> frozenset[Digest]:
    """Give those of which no bytes are here. Blocks."""
    return frozenset(each for each in digests if not os.path.lexists(layout.data(each)))
