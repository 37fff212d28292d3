"""What is known of tags here: in memory, in the tree, and when it was checked in the sidecar.

The tree's link is the authority for the digest; the sidecar only says when it was checked. A
change counts only if the request behind it started after the one behind the last change, after the
last push was answered, or after the tag was dropped, so a tag never shows an older state of the
primary than it showed.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Repository, Tag
from proxy.registry.bounded import BoundedMap
from proxy.registry.clock import Clock
from proxy.registry.ending import to_its_end
from proxy.registry.sidecar import Sidecar, TagRow
from proxy.registry.tree import Tree
from proxy.telemetry.logs import EventLog

CONFIRM_AFTER_SECONDS = 5.0
MAX_REMEMBERED_TAGS = 100_000
NEVER = float("-inf")

Key = tuple[Repository, Tag]


@dataclass(frozen=True, slots=True)
class TagState:
    """What is known of a tag. Times are the clock's `now`, -inf where nothing is known.

    `asked_at` is when the request started whose answer this is; `missing_since` when the primary
    first said that the tag is gone. After a push, `pushed_at` is when it was answered: a question
    that started before may have been answered before the push.
    """

    digest: Digest
    checked_at: float
    asked_at: float
    missing_since: float | None = None
    pushed_at: float = NEVER


class TagBook:
    """Reads and changes what is known of tags."""

    def __init__(self, tree: Tree, sidecar: Sidecar, clock: Clock, log: EventLog) -> None:
        self._tree = tree
        self._sidecar = sidecar
        self._clock = clock
        self._log = log
        self._states: BoundedMap[Key, TagState] = BoundedMap(MAX_REMEMBERED_TAGS)
        self._dropped_at: BoundedMap[Key, float] = BoundedMap(MAX_REMEMBERED_TAGS)
        self._on_disk: BoundedMap[Key, Digest] = BoundedMap(MAX_REMEMBERED_TAGS)
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    def remembered(self, repository: Repository, tag: Tag) -> TagState | None:
        """Give what is in memory of a tag."""
        return self._states.get((repository, tag))

    async def known(self, repository: Repository, tag: Tag) -> TagState | None:
        """Give what is known of a tag, from memory, else from the tree and the sidecar."""
        state = self._states.get((repository, tag))
        if state is not None:
            return state
        try:
            digest = await self._tree.tag(repository, tag)
        except StoreUnavailable:
            return None
        if digest is None or self._was_dropped(repository, tag):
            return None
        row = await self._sidecar.tag(repository, tag)
        checked_at = NEVER
        if row is not None and row.digest == digest:
            checked_at = self._clock.now() - max(0.0, self._clock.wall() - row.checked_at)
        if self._was_dropped(repository, tag):
            return None
        state = self._states.get((repository, tag))
        if state is None:
            state = TagState(digest, checked_at, checked_at)
            self._states.put((repository, tag), state)
            self._on_disk.put((repository, tag), digest)
        return state

    def _was_dropped(self, repository: Repository, tag: Tag) -> bool:
        """Say whether a tag was dropped in this life: what the tree still says of it is old."""
        return self._dropped_at.get((repository, tag)) is not None

    def age(self, state: TagState) -> float:
        """Give the seconds since a state was last checked."""
        return self._clock.now() - state.checked_at

    async def apply(
        self, repository: Repository, tag: Tag, digest: Digest, asked_at: float
    ) -> bool:
        """Let a tag name *digest*; False: something newer was applied meanwhile, and stays.

        It counts as checked when the primary was asked: what came of that may have taken long.
        """
        with suppress(StoreUnavailable):
            return await self.keep(repository, tag, digest, asked_at)
        return True

    async def keep(self, repository: Repository, tag: Tag, digest: Digest, asked_at: float) -> bool:
        """Do what `apply` does, where the link has to last: a copy isn't done before.

        Raises: StoreUnavailable: the disk took nothing; until a restart the tag is known all the
                same.
        """
        return await self._apply((repository, tag), TagState(digest, asked_at, asked_at))

    async def pushed(
        self, repository: Repository, tag: Tag, digest: Digest, began_at: float
    ) -> bool:
        """Let a tag name what was pushed to it by a request that began then and is answered now.

        False: an answer stays that was asked for meanwhile; which of both is older isn't known.
        """
        state = TagState(digest, began_at, began_at, pushed_at=self._clock.now())
        with suppress(StoreUnavailable):
            return await self._apply((repository, tag), state)
        return True

    async def _apply(self, key: Key, fresh: TagState) -> bool:
        await self.known(*key)  # what has left memory may be newer
        return await to_its_end(self._become(key, fresh))

    async def _become(self, key: Key, fresh: TagState) -> bool:
        """Let a state be known, the disk first: what was shown once must not be older after a
        crash. A disk that takes nothing keeps it from nobody.

        Raises: StoreUnavailable: that happened.
        """
        refused: StoreUnavailable | None = None
        lock = self._lock(key)
        async with lock:
            if self._is_overtaken(key, fresh):
                return False
            try:
                await self._write(key, fresh)
            except StoreUnavailable as exc:
                refused = exc
            if self._is_overtaken(key, fresh):  # it was dropped meanwhile
                return False
            self._states.put(key, fresh)
        if refused is not None:
            raise refused
        return True

    def _is_overtaken(self, key: Key, fresh: TagState) -> bool:
        """Say whether something newer than *fresh* is known."""
        state = self._states.get(key)
        newest = self._dropped_at.get(key)
        if state is not None:
            newest = max(state.asked_at, state.pushed_at)
        return newest is not None and newest > fresh.asked_at

    async def _write(self, key: Key, fresh: TagState) -> None:
        """Bring the disk to a state, the link before the row that tells of it."""
        dropped_at = self._dropped_at.get(key)
        if self._on_disk.get(key) != fresh.digest:
            await self._tree.put_tag(*key, fresh.digest)
            self._on_disk.put(key, fresh.digest)
            if self._dropped_at.get(key) == dropped_at:
                self._dropped_at.drop(key)
        checked_at = self._clock.wall() - self.age(fresh)
        self._sidecar.put_tag(*key, TagRow(fresh.digest, checked_at))

    def _lock(self, key: Key) -> asyncio.Lock:
        """Give what keeps changes of one tag on disk apart; it is there while somebody has it."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    async def note_missing(self, repository: Repository, tag: Tag, state: TagState) -> None:
        """Note a confirmed 404 to a question about *state*; the second one, some seconds later,
        removes the tag.
        """
        if self._states.get((repository, tag)) is not state:
            return  # something newer is known
        now = self._clock.now()
        if state.missing_since is None:
            self._states.put((repository, tag), replace(state, missing_since=now))
        elif now - state.missing_since >= CONFIRM_AFTER_SECONDS:
            self._log.info("tag.removed", repository=repository, tag=tag, digest=str(state.digest))
            await self.drop(repository, tag)

    async def drop(self, repository: Repository, tag: Tag) -> None:
        """Remove a tag."""
        key = (repository, tag)
        self._states.drop(key)
        self._dropped_at.put(key, self._clock.now())
        lock = self._lock(key)
        async with lock:
            if self._states.get(key) is not None:
                return  # it is there again
            self._on_disk.drop(key)
            self._sidecar.drop_tag(repository, tag)
            try:
                await to_its_end(self._tree.drop_tag(repository, tag))
            except StoreUnavailable:
                self._log.error("tag.not_removed", repository=repository, tag=tag)

    async def drop_all_of(self, repository: Repository, digest: Digest) -> None:
        """Remove the tags that name a deleted manifest."""
        for tag in await self._tree.tags_of(repository, digest):
            await self.drop(repository, tag)
