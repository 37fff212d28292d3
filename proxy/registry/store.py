"""The store as a `Puller`: answers by digest from what lies in the tree, and nothing else."""

import contextlib
import errno
import os
import stat

from proxy.oci.descriptor import OCTET_STREAM, Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import (
    Absent,
    BlobUnknown,
    ContentMismatch,
    ManifestInvalid,
    ManifestUnknown,
    StoreUnavailable,
)
from proxy.oci.manifest import MAX_MANIFEST_BYTES, Manifest, children_of, media_type_of
from proxy.oci.reference import Repository
from proxy.oci.request import BlobPull, ManifestPull, Pull
from proxy.oci.span import ByteSpan, RangeRequest
from proxy.registry.bounded import BoundedMap
from proxy.registry.clock import NOW
from proxy.registry.growing import GrowingFile
from proxy.registry.integrity import Integrity, Stamp
from proxy.registry.layout import LinkKind
from proxy.registry.puller import Bytes, Content, File, Resolution
from proxy.registry.room import Room
from proxy.registry.segments import LONGEST_BYTES
from proxy.registry.tree import Tree
from proxy.telemetry.labels import Origin

SMALL_BYTES = 64 << 10
WHOLE_FIRST_BYTES = 4 << 20
"""Up to here a blob that has to be hashed is hashed before its first byte is sent."""
_DAMAGE = frozenset({errno.EIO, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR})
MAX_REMEMBERED_BLOB_BYTES = 4 << 10
OVERHEAD_BYTES = 500
MAX_ANNOUNCED_SIZES = 50_000
MAX_TELLING_BYTES = 256 << 10


def link_kind(pull: Pull) -> LinkKind:
    """Give the kind of link that a pull needs."""
    return LinkKind.MANIFEST if isinstance(pull, ManifestPull) else LinkKind.LAYER


def pulled_digest(pull: Pull) -> Digest:
    """Give the digest of a pull by digest; a tag must have been pinned before."""
    name = pull.digest if isinstance(pull, BlobPull) else pull.reference
    if not isinstance(name, Digest):
        raise TypeError("a tag reached a place where everything is by digest")
    return name


def bytes_content(descriptor: Descriptor, data: bytes, origin: Origin) -> Bytes:
    """Give content in memory, whole."""
    return Bytes(Resolution(descriptor, origin), ByteSpan(0, len(data)), data)


def part_of(content: Bytes, part: RangeRequest | None) -> Bytes:
    """Cut content in memory to what was asked for.

    Raises: RangeInvalid.
    """
    if part is not None:
        content.span = part.on(len(content.data))
    return content


class Store:
    """Content that is linked in the repository asked for and whose bytes are here and right."""

    def __init__(
        self,
        tree: Tree,
        integrity: Integrity,
        memory_bytes: int,
        *,
        may_serve_unverified_parts: bool,
        room: Room | None = None,
    ) -> None:
        self.tree = tree
        self.room = room or Room()
        self._may_serve_unverified_parts = may_serve_unverified_parts
        self.integrity = integrity
        self._memory: BoundedMap[tuple[LinkKind, Digest], Bytes] = BoundedMap(
            memory_bytes, lambda held: len(held.data) + OVERHEAD_BYTES
        )
        self._announced_sizes: BoundedMap[Digest, int] = BoundedMap(MAX_ANNOUNCED_SIZES)

    async def resolve(self, pull: Pull) -> Resolution:
        """Give the descriptor; see `Puller.resolve`.

        Raises: Absent: no link or no bytes here. StoreUnavailable: the file system refused.
        """
        if isinstance(pull, ManifestPull):
            manifest = await self.manifest(pull.repository, pulled_digest(pull))
            return Resolution(manifest.descriptor, Origin.STORE)
        await self._require_link(pull)
        size = await self.tree.run(_size_of, os.fspath(self.tree.layout.data(pull.digest)))
        return Resolution(Descriptor(OCTET_STREAM, pull.digest, size), Origin.STORE)

    async def open(self, pull: Pull, part: RangeRequest | None = None) -> Content:
        """Give the content; see `Puller.open`.

        Raises: Absent: no link, or no good bytes here. StoreUnavailable: the file system refused.
        """
        if isinstance(pull, ManifestPull):
            manifest = await self.manifest(pull.repository, pulled_digest(pull))
            content = bytes_content(manifest.descriptor, manifest.data, Origin.STORE)
            return part_of(content, part)
        await self._require_link(pull)
        return await self._open_blob(pull.digest, part)

    async def _require_link(self, pull: Pull) -> None:
        digest = pulled_digest(pull)
        if not await self.tree.has_link(pull.repository, link_kind(pull), digest):
            raise ManifestUnknown if isinstance(pull, ManifestPull) else BlobUnknown

    def at_hand(self, pull: Pull) -> Bytes | None:
        """Give what is in memory and whose link was seen: nothing is waited for."""
        kind, digest = link_kind(pull), pulled_digest(pull)
        held = self._memory.get((kind, digest))
        if held is None or not self.tree.is_link_known(pull.repository, kind, digest):
            return None
        return Bytes(held.resolution, held.span, held.data)

    # --- manifests ----------------------------------------------------------------------------

    async def manifest(self, repository: Repository, digest: Digest) -> Manifest:
        """Give a manifest that is linked in *repository*, from memory if it can be.

        Raises: as `open`.
        """
        if not await self.tree.has_link(repository, LinkKind.MANIFEST, digest):
            raise ManifestUnknown
        held = self._memory.get((LinkKind.MANIFEST, digest))
        if held is not None:
            return Manifest(held.resolution.descriptor, held.data)
        manifest = await self._load_manifest(digest)
        self._remember_manifest(manifest)
        return manifest

    def _remember_manifest(self, manifest: Manifest) -> None:
        self._remember(LinkKind.MANIFEST, manifest.descriptor, manifest.data)
        self.announce(manifest.data)

    def announce(self, manifest: bytes) -> None:
        """Remember what a checked manifest says of the sizes of large blobs."""
        if len(manifest) <= MAX_TELLING_BYTES:
            for child in children_of(manifest):
                if child.size > LONGEST_BYTES:
                    self._announced_sizes.put(child.digest, child.size)

    def announced_size(self, digest: Digest) -> int | None:
        """Give what a manifest says of the size of a large blob: a hint that proves nothing."""
        return self._announced_sizes.get(digest)

    def _remember(self, kind: LinkKind, descriptor: Descriptor, data: bytes) -> None:
        held = bytes_content(descriptor, data, Origin.STORE)
        self._memory.put((kind, descriptor.digest), held)

    async def _load_manifest(self, digest: Digest) -> Manifest:
        path = os.fspath(self.tree.layout.data(digest))
        data = await self.tree.run(_read_manifest, path)
        if data is None:
            raise ManifestUnknown
        try:
            if not digest.matches(data):
                raise ManifestInvalid
            return Manifest(Descriptor(media_type_of(data), digest, len(data)), data)
        except ManifestInvalid as exc:
            await self.tree.quarantine(digest, "its bytes don't have its digest")
            raise ManifestUnknown from exc

    async def put_manifest(
        self, repository: Repository, manifest: Manifest, asked_at: float = NOW
    ) -> None:
        """Keep a checked manifest of *repository*, bytes first, then the link; see `confirm_link`.

        Raises: StoreUnavailable.
        """
        digest = manifest.descriptor.digest
        if self._memory.get((LinkKind.MANIFEST, digest)) is None:
            with self.room.claimed(digest) as claim:
                await claim.cover(len(manifest.data))
                await self.tree.put_bytes(digest, manifest.data)
        await self.tree.confirm_link(repository, LinkKind.MANIFEST, digest, asked_at)
        self._remember_manifest(manifest)

    def forget(self, digest: Digest) -> None:
        """Drop a content from memory, whatever it is: its bytes have left the disk."""
        for kind in LinkKind:
            self._memory.drop((kind, digest))

    def doubt(self, digest: Digest) -> None:
        """Let the next pull of a content look at its file, which was found wrong."""
        self.integrity.forget(digest)
        self.forget(digest)

    def forget_manifest(self, digest: Digest) -> None:
        """Drop a manifest from memory, so that the next read asks the disk."""
        self._memory.drop((LinkKind.MANIFEST, digest))

    # --- blobs --------------------------------------------------------------------------------

    async def has_bytes(self, digest: Digest) -> bool:
        """Say whether bytes of that name are here; this grants nothing."""
        try:
            await self.tree.run(_size_of, os.fspath(self.tree.layout.data(digest)))
        except Absent:
            return False
        return True

    async def _open_blob(self, digest: Digest, part: RangeRequest | None) -> Content:
        await self.integrity.settled(digest)
        descriptor_number = await self._open_file(digest)
        stamp = Stamp.of(descriptor_number)
        descriptor = Descriptor(OCTET_STREAM, digest, stamp.size)
        if stamp.size <= SMALL_BYTES:
            try:
                data = await self._read_small(digest, descriptor_number, stamp)
            finally:
                os.close(descriptor_number)
            if stamp.size <= MAX_REMEMBERED_BLOB_BYTES:
                self._remember(LinkKind.LAYER, descriptor, data)
            return part_of(bytes_content(descriptor, data, Origin.STORE), part)
        growing = self.integrity.reader(digest, descriptor_number, stamp)
        try:  # a part that lies beyond a cut-off file has it hashed, too
            span = ByteSpan(0, stamp.size) if part is None else part.on(stamp.size)
            is_part = span.stop < stamp.size
            await self._begin(digest, growing, span, is_part=is_part)
        except BaseException:
            growing.release()
            raise
        return File(Resolution(descriptor, Origin.STORE), span, growing, is_part)

    async def _begin(
        self, digest: Digest, growing: GrowingFile, span: ByteSpan, *, is_part: bool
    ) -> None:
        """Wait until the first byte of a span may be sent, of smaller blobs the last one.

        What is found damaged until then has cost the client nothing yet.

        Raises: BlobUnknown: it was set aside. StoreUnavailable: it couldn't be.
        """
        is_whole_first = growing.size <= WHOLE_FIRST_BYTES
        if is_part and not self._may_serve_unverified_parts:
            is_whole_first = True
        offset = growing.size - 1 if is_whole_first else span.start
        try:
            await growing.visible_beyond(offset, is_part=is_part and not is_whole_first)
        except (ContentMismatch, StoreUnavailable) as exc:
            if await self.has_bytes(digest):
                raise StoreUnavailable from exc
            raise BlobUnknown from exc

    async def _open_file(self, digest: Digest) -> int:
        """Open on the loop: a path in the kernel's cache costs less than a thread would.

        A file that is there and can't be read is set aside, so that it is fetched again.
        """
        try:
            return _open_to_read(os.fspath(self.tree.layout.data(digest)))
        except (FileNotFoundError, NotADirectoryError):
            raise BlobUnknown from None
        except OSError as exc:
            if exc.errno not in _DAMAGE:
                raise StoreUnavailable from exc
            await self.tree.quarantine(digest, str(exc))
            raise BlobUnknown from exc

    async def _read_small(self, digest: Digest, descriptor_number: int, stamp: Stamp) -> bytes:
        if self.integrity.is_good(digest, stamp):
            with contextlib.suppress(OSError):
                data = os.pread(descriptor_number, stamp.size, 0)
                if len(data) == stamp.size:
                    return data
        try:
            data = await self.tree.run(os.pread, descriptor_number, stamp.size, 0)
        except StoreUnavailable:
            data = b""
        if len(data) != stamp.size or not digest.matches(data):
            await self.tree.quarantine(digest, "its bytes can't be read or don't have its digest")
            raise BlobUnknown
        self.integrity.note_good(digest, stamp)
        return data


def _open_to_read(path: str) -> int:
    """Open without waiting: a pipe in a blob's place would be waited for."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)


def _size_of(path: str) -> int:
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116  # a hot path
    except (FileNotFoundError, NotADirectoryError):
        raise BlobUnknown from None
    if not stat.S_ISREG(found.st_mode):
        raise BlobUnknown
    return found.st_size


def _read_manifest(path: str) -> bytes | None:
    """Give a manifest's bytes, None if there is no file; nothing of one that can't be read."""
    try:
        descriptor_number = _open_to_read(path)
        try:
            return os.read(descriptor_number, MAX_MANIFEST_BYTES + 1)
        finally:
            os.close(descriptor_number)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        if exc.errno not in _DAMAGE:
            raise
        return b""
