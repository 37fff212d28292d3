"""Bringing: one blob is brought here before a client asks, by the way that a client's pull goes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from proxy.oci.caller import Caller
from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import Absent, BlobUnknown, StoreUnavailable
from proxy.oci.reference import Repository
from proxy.oci.request import BlobPull
from proxy.registry.puller import Content, File, Puller
from proxy.registry.store import Store
from proxy.telemetry.labels import Origin

_FOREIGN_TYPES = ("nondistributable", ".foreign.")


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of a blob: its size, and how much of that crossed the link for it alone.

    What somebody else was fetching already counts there.
    """

    size_bytes: int
    moved_bytes: int = 0
    was_here: bool = False


class ForeignLayer(BlobUnknown):
    """The primary hasn't got the blob and needn't: its descriptor says that it is elsewhere."""


class Bringer:
    """Brings blobs as *caller*.

    *puller* fills the store; *settled* waits until what was fetched of a digest is kept or given
    up.
    """

    def __init__(
        self,
        puller: Puller,
        store: Store,
        settled: Callable[[Digest], Awaitable[None]],
        caller: Caller,
    ) -> None:
        self._puller = puller
        self._store = store
        self._settled = settled
        self._caller = caller

    async def blob(self, repository: Repository, wanted: Descriptor) -> Brought:
        """Bring a blob and link it in *repository*.

        Raises: ForeignLayer. StoreUnavailable: it could not be kept. Absent, Unauthorized, Denied,
        Unavailable, ContentMismatch: as a pull.
        """
        pull = BlobPull(repository, wanted.digest, self._caller)
        try:
            found = await self._store.resolve(pull)
            return Brought(found.descriptor.size, was_here=True)
        except Absent:
            pass
        try:
            content = await self._puller.open(pull)
        except Absent as exc:
            if any(word in wanted.media_type for word in _FOREIGN_TYPES):
                raise ForeignLayer("a foreign layer: it is elsewhere") from exc
            raise
        await _read_by_nobody(content)
        await self._settled(pull.digest)
        try:
            found = await self._store.resolve(pull)
        except Absent as exc:
            raise StoreUnavailable("the store could not keep it") from exc
        size = found.descriptor.size
        is_ours = content.resolution.origin is Origin.FILL
        return Brought(size, moved_bytes=size if is_ours else 0)


async def _read_by_nobody(content: Content) -> None:
    """Wait until all of a content is here."""
    try:
        if isinstance(content, File) and content.span.stop:
            await content.growth.visible_beyond(content.span.stop - 1)
    finally:
        await content.aclose()
