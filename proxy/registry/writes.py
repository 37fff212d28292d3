"""What an accepted write changes here: links, tags, manifests and what was kept of listings.

There is one writer, the primary; this follows its answers and never runs ahead of them. Each
effect is best effort: what can't be noted now is found out by the next check.
"""

from proxy.oci.digest import Digest
from proxy.oci.errors import DigestInvalid, ManifestInvalid, StoreUnavailable
from proxy.oci.manifest import check_manifest, subject_of
from proxy.oci.reference import Repository, Tag
from proxy.oci.request import BlobDelete, ManifestDelete, ManifestPut
from proxy.registry.clock import Clock
from proxy.registry.fill import CacheFill
from proxy.registry.layout import LinkKind
from proxy.registry.listings import REFERRERS, TAGS
from proxy.registry.sidecar import Sidecar
from proxy.registry.store import Store
from proxy.registry.tagbook import TagBook
from proxy.telemetry.logs import EventLog


class Writes:
    """Applies what the primary accepted."""

    def __init__(
        self,
        store: Store,
        fill: CacheFill,
        tags: TagBook,
        sidecar: Sidecar,
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._store = store
        self._fill = fill
        self._tags = tags
        self._sidecar = sidecar
        self._clock = clock
        self._log = log

    async def blob_accepted(self) -> None:
        """The primary accepted a blob, whether a copy of it is kept or not."""
        await self._fill.forget_negatives()

    async def blob_linked(self, repository: Repository, digest: Digest) -> None:
        """The primary mounted a blob: the repository contains it, wherever its bytes are."""
        try:
            await self._store.tree.put_link(repository, LinkKind.LAYER, digest)
        except StoreUnavailable:
            return

    def now(self) -> float:
        """Give the time by the clock that tells what came first."""
        return self._clock.now()

    async def manifest_put(
        self, write: ManifestPut, data: bytes, content_type: str, accepted: str, began_at: float
    ) -> None:
        """The primary accepted a manifest and called it *accepted* (a digest, or nothing).

        began_at: the clock's `now` when the push began; other answers may have come between.
        """
        await self._fill.forget_negatives()
        digest = _accepted_digest(write, data, accepted)
        try:
            manifest = check_manifest(data, digest, content_type)
            await self._store.put_manifest(write.repository, manifest)
        except (DigestInvalid, ManifestInvalid, StoreUnavailable) as exc:
            self._log.info("push.not_kept", repository=write.repository, error=exc.message)
            if isinstance(write.reference, Tag):
                await self._tags.drop(write.repository, write.reference)
            return
        if isinstance(write.reference, Tag):
            await self._tags.pushed(write.repository, write.reference, digest, began_at)
            self._sidecar.drop_answers(TAGS, write.repository)
        if (subject := subject_of(data)) is not None:
            self._sidecar.drop_answers(REFERRERS, write.repository, str(subject))

    async def deleted(self, write: ManifestDelete | BlobDelete) -> None:
        """The primary deleted a tag, a manifest or a blob's link."""
        try:
            await self.remove(write)
        except StoreUnavailable:
            self._log.error("delete.not_applied", repository=write.repository)

    async def remove(self, write: ManifestDelete | BlobDelete) -> None:
        """As `deleted`.

        Raises: StoreUnavailable: it isn't all done.
        """
        tree = self._store.tree
        if isinstance(write, BlobDelete):
            self._fill.withdraw(write.repository, write.digest)
            await tree.drop_link(write.repository, LinkKind.LAYER, write.digest)
            return
        self._sidecar.drop_answers(TAGS, write.repository)
        if isinstance(write.reference, Tag):
            await self._tags.drop(write.repository, write.reference)
            return
        await tree.drop_link(write.repository, LinkKind.MANIFEST, write.reference)
        self._sidecar.doubt(write.reference)
        self._store.forget_manifest(write.reference)
        await self._tags.drop_all_of(write.repository, write.reference)
        self._sidecar.drop_answers(REFERRERS, write.repository)


def _accepted_digest(write: ManifestPut, data: bytes, accepted: str) -> Digest:
    for text in (accepted, str(write.reference)):
        try:
            return Digest.parse(text)
        except DigestInvalid:
            continue
    return Digest.of(data)
