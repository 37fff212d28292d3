"""The Distribution tree on disk: bytes, links and tags.

Presence of bytes grants nothing: only a link says that a repository contains a digest. A link
whose content isn't what its path says counts as absent and is reported.
"""

import asyncio
import fcntl
import os
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from proxy.oci.digest import Digest
from proxy.oci.errors import DigestInvalid, StoreUnavailable
from proxy.oci.reference import Repository, Tag
from proxy.registry import durable
from proxy.registry.bounded import BoundedMap
from proxy.registry.clock import moment
from proxy.registry.health import Health
from proxy.registry.interrupted import Interrupted
from proxy.registry.layout import Layout, LinkKind
from proxy.registry.linking import Linking
from proxy.serving.small_file import sync_folder
from proxy.telemetry import Telemetry

THREADS = 16
MAX_LINK_BYTES = 200
MAX_KNOWN_LINKS = 200_000
MAX_REMEMBERED_DROPS = 10_000
MAX_TAG_HISTORY = 10
MAX_QUARANTINED = 32

T = TypeVar("T")
LinkKey = tuple[Repository, LinkKind, Digest]


class StoreInUse(Exception):
    """Another process writes to this store."""


class Tree:
    """Durable operations on the tree, in threads; links that were seen are remembered.

    Raises, everywhere: StoreUnavailable: the file system refused, which isn't absence.
    """

    def __init__(self, root: Path, telemetry: Telemetry) -> None:
        self.layout = Layout(root)
        self.executor = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._log = telemetry.log
        self._metrics = telemetry.metrics
        self._known_links: BoundedMap[LinkKey, LinkKey] = BoundedMap(MAX_KNOWN_LINKS)
        self._link_drops = 0
        self._dropped: BoundedMap[LinkKey, float] = BoundedMap(MAX_REMEMBERED_DROPS)
        self._lock_descriptor: int | None = None
        self.interrupted = Interrupted()
        self.on_stored: Callable[[Digest, int, int], None] = lambda *_: None
        """Told of each content that entered: its size, and by how much the tree has grown."""
        self.on_removed: Callable[[Digest, int], None] = lambda *_: None
        """Told of each content that was set aside, and of its size."""
        self.health = Health(telemetry.log, time.monotonic)
        self.linking = Linking()

    async def open(self) -> None:
        """Make the folders, take the lock, remove leftovers of fills that can't go on.

        Raises: StoreInUse. StoreUnavailable: nothing can be written here.
        """
        try:
            await self.run(self._open)
        except BaseException:
            await self.close()
            raise

    def _open(self) -> None:
        layout = self.layout
        for folder in (layout.blobs, layout.registry / "repositories"):
            durable.make_folders(folder)
        for folder in (layout.spool, layout.quarantine):
            durable.make_folders(folder)
        self._take_lock()
        self.interrupted.open(layout.spool)

    def _take_lock(self) -> None:
        descriptor = os.open(self.layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(descriptor)
            raise StoreInUse(f"another process uses the store {self.layout.root}") from exc
        self._lock_descriptor = descriptor

    async def close(self) -> None:
        """Give the lock back once no thread works any more."""
        await asyncio.get_running_loop().run_in_executor(None, self.executor.shutdown)
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Run blocking work on the store in a thread."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self.executor, work, *arguments)
        except OSError as exc:
            self.note_failure(exc)
            raise StoreUnavailable from exc

    def note_failure(self, exc: OSError) -> None:
        """Count and log what the file system refused."""
        self._metrics.store_failures.inc()
        self._log.error("store.failed", error=str(exc))
        self.health.note_failure(exc)

    # --- links --------------------------------------------------------------------------------

    def is_link_known(self, repository: Repository, kind: LinkKind, digest: Digest) -> bool:
        """Say whether a link was seen before, without looking at the disk."""
        return self._known_links.get((repository, kind, digest)) is not None

    async def has_link(self, repository: Repository, kind: LinkKind, digest: Digest) -> bool:
        """Say whether *repository* contains *digest*.

        One that was dropped is absent, whatever a fill that is just ending writes.
        """
        key = (repository, kind, digest)
        if self.is_link_known(repository, kind, digest):
            return True
        drops = self._link_drops
        path = self.layout.link(repository, kind, digest)
        content = await self.run(durable.read_small, path, MAX_LINK_BYTES)
        if content is None or self._dropped.get(key) is not None:
            return False
        if content.strip() != str(digest).encode():
            self._log.warning("store.bad_link", repository=repository, digest=str(digest))
            return False
        self._remember_link(key, drops)
        return True

    async def put_link(self, repository: Repository, kind: LinkKind, digest: Digest) -> None:
        """Record that *repository* contains *digest*: call it only when the primary said so."""
        self._dropped.drop((repository, kind, digest))
        with self.linking.about_to(digest):
            if await self.has_link(repository, kind, digest):
                return
            drops = self._link_drops
            await self._write(self.layout.link(repository, kind, digest), digest)
            self._remember_link((repository, kind, digest), drops)

    async def confirm_link(
        self, repository: Repository, kind: LinkKind, digest: Digest, asked_at: float
    ) -> None:
        """As `put_link`, where the primary said so when it was asked at that moment.

        If the link was dropped after that, it stays dropped: a fill that ends after a delete
        brings nothing back.
        """
        key = (repository, kind, digest)
        if self._was_dropped(key, asked_at):
            return
        await self.put_link(repository, kind, digest)
        if self._was_dropped(key, asked_at):
            await self.drop_link(repository, kind, digest)

    def _was_dropped(self, key: LinkKey, asked_at: float) -> bool:
        dropped_at = self._dropped.get(key)
        return dropped_at is not None and dropped_at >= asked_at

    def _remember_link(self, key: LinkKey, drops: int) -> None:
        """Remember a link that was seen when so many were dropped; it may be gone by now."""
        if drops == self._link_drops:
            self._known_links.put(key, key)

    def _forget_link(self, key: LinkKey) -> None:
        self._known_links.drop(key)
        self._link_drops += 1

    async def drop_link(self, repository: Repository, kind: LinkKind, digest: Digest) -> None:
        """End the record: from now on this repository doesn't contain *digest*."""
        key = (repository, kind, digest)
        self._dropped.put(key, moment())
        self._forget_link(key)
        try:
            await self.run(durable.remove_file, self.layout.link(repository, kind, digest))
        finally:
            self._forget_link(key)  # it may have been looked at until now

    async def _write(self, path: Path, digest: Digest) -> None:
        self.health.require_writable()
        await self.run(durable.write_file, path, str(digest).encode(), self.layout.spool)

    # --- bytes --------------------------------------------------------------------------------

    async def commit(self, spooled: Path, descriptor_number: int, digest: Digest) -> None:
        """Give a verified spool file its name in the tree; durable when this returns."""
        self.health.require_writable()
        self.on_stored(digest, *await self.run(self._commit, spooled, descriptor_number, digest))

    def _commit(self, spooled: Path, descriptor_number: int, digest: Digest) -> tuple[int, int]:
        os.fsync(descriptor_number)
        path, size = self.layout.data(digest), os.fstat(descriptor_number).st_size
        growth = size - durable.size_of(path)
        durable.move_into_place(spooled, path)
        return size, growth

    async def put_bytes(self, digest: Digest, data: bytes) -> None:
        """Keep small content that was verified before."""
        self.health.require_writable()
        self.on_stored(digest, len(data), await self.run(self._put_bytes, digest, data))

    def _put_bytes(self, digest: Digest, data: bytes) -> int:
        path = self.layout.data(digest)
        growth = len(data) - durable.size_of(path)
        durable.write_file(path, data, self.layout.spool)
        return growth

    async def quarantine(self, digest: Digest, why: str, inode: int | None = None) -> None:
        """Move damaged bytes out of the tree; links stay, so that a pull fetches them again.

        With *inode* only that very file: another may have taken its place.
        """
        size = await self.run(self._quarantine, digest, inode)
        if size is not None:
            self.on_removed(digest, size)
            self._metrics.quarantined.inc()
            self._log.error("store.quarantined", digest=str(digest), reason=why)

    def _quarantine(self, digest: Digest, inode: int | None) -> int | None:
        aside = self.layout.quarantine / f"{digest.algorithm}-{digest.hex}-{time.time_ns()}"
        path = self.layout.data(digest)
        try:
            state = path.lstat()
            if inode not in (None, state.st_ino):
                return None
            path.rename(aside)
        except FileNotFoundError:
            return None
        sync_folder(aside.parent)
        sync_folder(path.parent)
        durable.keep_latest(self.layout.quarantine, MAX_QUARANTINED)  # a disk that rots has no end
        return state.st_size

    # --- tags ---------------------------------------------------------------------------------

    async def tag(self, repository: Repository, tag: Tag) -> Digest | None:
        """Give the digest that a tag names here."""
        path = self.layout.tag_current(repository, tag)
        content = await self.run(durable.read_small, path, MAX_LINK_BYTES)
        if content is None:
            return None
        try:
            return Digest.parse(content.decode("ascii", "replace").strip())
        except DigestInvalid:
            self._log.warning("store.bad_tag", repository=repository, tag=tag)
            return None

    async def put_tag(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        """Let a tag name *digest*; its manifest is in the tree already."""
        await self._write(self.layout.tag_index(repository, tag, digest), digest)
        await self._write(self.layout.tag_current(repository, tag), digest)
        await self.run(self._trim_history, repository, tag, digest)

    def _trim_history(self, repository: Repository, tag: Tag, current: Digest) -> None:
        index = self.layout.tag(repository, tag) / "index"
        links = sorted(index.glob("*/*/link"), key=lambda link: link.stat().st_mtime)
        for link in links[:-MAX_TAG_HISTORY]:
            if link.parent.name != current.hex:
                link.unlink()
                link.parent.rmdir()

    async def drop_tag(self, repository: Repository, tag: Tag) -> None:
        """Remove a tag, what it named and its history."""
        await self.run(self._drop_tag, repository, tag)

    def _drop_tag(self, repository: Repository, tag: Tag) -> None:
        """Take the tag's folder out of the tree at once; what remains of it is a leftover."""
        folder = self.layout.tag(repository, tag)
        aside = self.layout.spool / f"tag-{secrets.token_hex(8)}"
        try:
            folder.rename(aside)
        except (FileNotFoundError, NotADirectoryError):
            return
        sync_folder(folder.parent)
        durable.remove_whatever(aside)

    async def all_tags(self, repository: Repository) -> list[Tag]:
        """Give the tags of a repository that are here."""
        return await self.run(self._all_tags, repository)

    def _all_tags(self, repository: Repository) -> list[Tag]:
        links = self.layout.tags(repository).glob("*/current/link")
        return [Tag(link.parent.parent.name) for link in links]

    async def tags_of(self, repository: Repository, digest: Digest) -> list[Tag]:
        """Give the tags that name *digest* here."""
        return await self.run(self._tags_of, repository, digest)

    def _tags_of(self, repository: Repository, digest: Digest) -> list[Tag]:
        wanted = str(digest).encode()

        def names_it(tag: Tag) -> bool:
            link = self.layout.tag_current(repository, tag)
            return durable.read_small(link, MAX_LINK_BYTES) == wanted

        return list(filter(names_it, self._all_tags(repository)))
