"""Copying: an image and all that it is made of comes here, by the flights that clients' pulls take.

Rules:
- Blobs first, then the manifests that name them, then indexes; the tag last, by whoever called.
- Whoever comes second, a client or a copy, joins the flight that is under way.
- What is here under another repository is linked once the primary confirmed it for this one.
- With `returns_evicted` off, bytes that capacity took away stay away.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from proxy.oci.artifact import artifact_kind
from proxy.oci.caller import Caller
from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import Absent, StoreUnavailable
from proxy.oci.manifest import INDEX_TYPES, Manifest, children_of, subject_of
from proxy.oci.platform import Platform, manifests_of
from proxy.oci.reference import Repository
from proxy.oci.request import ManifestPull
from proxy.registry.bringing import Bringer, Brought, ForeignLayer
from proxy.registry.fetcher import Fetcher
from proxy.registry.fill import CacheFill
from proxy.registry.layout import LinkKind
from proxy.registry.primary import Fetched
from proxy.registry.store import Store

MAX_DEPTH = 4


class NotStorable(Exception):
    """It is passed on and never kept, as Docker schema 1 is."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy brought: bytes that crossed the link, and bytes that needn't."""

    what: str
    digest: Digest | None = None
    moved_bytes: int = 0
    saved_bytes: int = 0
    evicted_bytes: int = 0
    manifests: tuple[Digest, ...] = ()
    """Those that were brought, or were here, the top one last."""
    parts: tuple[Digest, ...] = ()
    """All that the artifact itself is made of and that is here, or was before it was evicted."""

    @property
    def is_complete(self) -> bool:
        """Say whether all of it is here now."""
        return not self.evicted_bytes


@dataclass(frozen=True, slots=True)
class Means:
    """What copies are made with. *part* bounds how many parts come at once."""

    store: Store
    fill: CacheFill
    fetcher: Fetcher
    bringer: Bringer
    caller: Caller
    was_evicted: Callable[[Digest], Awaitable[bool]]
    part: AbstractAsyncContextManager[None]
    ahead: "Ahead"
    referrer_came: Callable[[Repository, Digest], None] = lambda *_: None
    """Told of the subject of each manifest that has one."""


class Ahead:
    """How many bytes copies that are under way still have to see to."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.seen_bytes = 0
        """How many they have seen to so far."""

    @contextmanager
    def of(self, size_bytes: int) -> Iterator[None]:
        """Count some, as long as they are brought."""
        self.size_bytes += size_bytes
        try:
            yield
        finally:
            self.size_bytes -= size_bytes
            self.seen_bytes += size_bytes


class Copy:
    """One copy of one image, for some platforms."""

    def __init__(
        self,
        means: Means,
        repository: Repository,
        platforms: Sequence[Platform],
        *,
        returns_evicted: bool,
    ) -> None:
        self._means = means
        self._repository = repository
        self._platforms = platforms
        self._returns_evicted = returns_evicted
        self._bytes: Counter[str] = Counter()
        self._seen: set[Digest] = set()
        self._blobs: list[Digest] = []
        self.manifests: list[Digest] = []
        """Those that were brought, or were here, each after what it is made of."""

    async def of(self, fetched: Fetched) -> Copied:
        """Bring what a manifest is made of, then the manifest itself.

        Raises: NotStorable. StoreUnavailable. Whatever a pull of a part raises, the first.
        """
        await self._manifest(fetched, depth=0)
        manifest = fetched.manifest
        copied = Copied(
            artifact_kind(manifest.data),
            manifest.descriptor.digest,
            evicted_bytes=self._bytes["evicted"],
            parts=(*self._blobs, *self.manifests),
        )
        return self.so_far(copied)

    def so_far(self, copied: Copied) -> Copied:
        """Give what was copied with what came since; whether it is complete says it alone."""
        return replace(
            copied,
            moved_bytes=self._bytes["moved"],
            saved_bytes=self._bytes["saved"],
            manifests=tuple(self.manifests),
        )

    async def by_digest(self, digest: Digest, depth: int = 0) -> None:
        """Bring a manifest that is named by digest, and what it is made of.

        Raises: as `of`. Absent: neither here nor at the primary.
        """
        fetched, is_here = await self._fetched(digest)
        size = len(fetched.manifest.data)
        self._bytes["saved" if is_here else "moved"] += size
        await self._manifest(fetched, depth)

    async def blob(self, digest: Digest) -> Copied:
        """Bring one blob, whose size nobody told.

        Raises: as a pull.
        """
        brought = await self._bring(Descriptor("", digest, 0))
        self._count(brought)
        return Copied("blob", digest, self._bytes["moved"], self._bytes["saved"])

    async def _manifest(self, fetched: Fetched, depth: int) -> None:
        if not fetched.is_storable:
            raise NotStorable("it is passed on and never kept")
        manifest = fetched.manifest
        self._means.store.announce(manifest.data)
        await _all(self._parts(manifest, depth))
        if not await self._means.fill.keep_manifest(self._repository, fetched):
            raise StoreUnavailable("the store could not keep it")
        self.manifests.append(manifest.descriptor.digest)
        if (subject := subject_of(manifest.data)) is not None:
            self._means.referrer_came(self._repository, subject)

    def _parts(self, manifest: Manifest, depth: int) -> Iterable[Coroutine[Any, Any, None]]:
        if manifest.descriptor.media_type not in INDEX_TYPES:
            return [self._blob(each) for each in self._new(children_of(manifest.data))]
        if depth >= MAX_DEPTH:
            return []
        children = manifests_of(manifest.data)
        wanted = [each.descriptor for each in children if each.is_for(self._platforms)]
        return [self._child(each, depth + 1) for each in self._new(wanted)]

    def _new(self, descriptors: Iterable[Descriptor]) -> list[Descriptor]:
        found = {each.digest: each for each in descriptors if each.digest not in self._seen}
        self._seen.update(found)
        return list(found.values())

    async def _child(self, descriptor: Descriptor, depth: int) -> None:
        try:
            await self.by_digest(descriptor.digest, depth)
        except Absent:
            return  # an index may name what was never pushed, and clients of others never ask

    async def _fetched(self, digest: Digest) -> tuple[Fetched, bool]:
        """Give a manifest from here, else from the primary; and which of them it was."""
        store = self._means.store
        try:
            manifest = await store.manifest(self._repository, digest)
            return Fetched(manifest, is_storable=True), True
        except Absent:
            pass
        pull = ManifestPull(self._repository, digest, self._means.caller)
        async with self._means.part:
            return await self._means.fetcher.manifest(pull), False

    async def _blob(self, descriptor: Descriptor) -> None:
        if not self._returns_evicted and await self._is_evicted(descriptor.digest):
            self._bytes["evicted"] += descriptor.size
            self._blobs.append(descriptor.digest)
            return
        with self._means.ahead.of(descriptor.size):
            try:
                self._count(await self._bring(descriptor))
            except ForeignLayer:
                return
        self._blobs.append(descriptor.digest)

    async def _bring(self, descriptor: Descriptor) -> Brought:
        async with self._means.part:
            return await self._means.bringer.blob(self._repository, descriptor)

    def _count(self, brought: Brought) -> None:
        self._bytes["moved"] += brought.moved_bytes
        self._bytes["saved"] += brought.size_bytes - brought.moved_bytes

    async def _is_evicted(self, digest: Digest) -> bool:
        """Say whether bytes were here and were evicted: a link without bytes that is marked."""
        store = self._means.store
        if not await store.tree.has_link(self._repository, LinkKind.LAYER, digest):
            return False
        return not await store.has_bytes(digest) and await self._means.was_evicted(digest)


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it, whatever becomes of one; then raise what the first that failed met."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
