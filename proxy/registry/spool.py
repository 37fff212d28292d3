"""The spool: files that grow until they are whole and enter the tree.

Chunks are written in a thread, in batches that gather while the thread is busy: a fast link gives
large batches, a slow one gives each chunk at once. They may come in any order; they are hashed from
the start on, each byte once: as it is written where it is the next one, else read back as soon as
nothing before it is missing.
"""

import asyncio
import contextlib
import errno
import functools
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from proxy.oci.digest import Algorithm, Digest
from proxy.oci.errors import StoreUnavailable
from proxy.oci.span import ByteSpan
from proxy.registry.ending import to_its_end
from proxy.registry.segments import SpanSet
from proxy.registry.tree import Tree

MAX_PENDING_BYTES = 256 << 10
SYNC_EVERY_BYTES = 32 << 20
READ_BACK_BYTES = 4 << 20
READ_BACK_STEP_BYTES = 256 << 10

Piece = tuple[int, bytes]


class SpoolFile:
    """One file being written.

    `accepted` bytes were taken, `written` of them are in the file. *on_progress* is called on the
    loop with what was added to the file. `record` syncs the file in a thread; it is given the
    descriptor and how many bytes from the start are in it.
    """

    def __init__(
        self,
        path: Path,
        descriptor_number: int,
        algorithm: Algorithm,
        tree: Tree,
        on_progress: Callable[[ByteSpan], None],
    ) -> None:
        self.path = path
        self.descriptor_number = descriptor_number
        self._tree = tree
        self._on_progress = on_progress
        self.record: Callable[[int, int], None] = lambda descriptor, _: os.fdatasync(descriptor)
        self._hasher = algorithm.hasher()
        self._algorithm = algorithm
        self._hashed = 0
        self._here = SpanSet()
        self.accepted = self._written = self._synced = self._synced_front = 0
        self._pending: list[Piece] = []
        self._pending_bytes = 0
        self._job: asyncio.Future[list[ByteSpan]] | None = None
        self._side_job: asyncio.Future[None] | None = None
        self._failure: OSError | None = None

    def begin_with(self, here: int) -> None:
        """Go on with a file that has so many bytes from before; they are hashed again."""
        self._here = SpanSet()
        self.accepted = self._written = self._synced = self._synced_front = here
        if here:
            self._here.add(ByteSpan(0, here))

    @property
    def written(self) -> int:
        """Bytes that are in the file."""
        return self._written

    @property
    def front(self) -> int:
        """Bytes that are in the file from its start on, without a hole."""
        return self._here.end_of(0)

    async def write(self, chunk: bytes) -> None:
        """Take the bytes behind those that were taken; see `write_at`."""
        await self.write_at(self.accepted, chunk)

    async def write_at(self, offset: int, chunk: bytes) -> None:
        """Take bytes that weren't taken before; wait only while too many are pending.

        Raises: StoreUnavailable: the file system refused.
        """
        self._check()
        self.accepted += len(chunk)
        self._pending.append((offset, chunk))
        self._pending_bytes += len(chunk)
        if self._job is None:
            self._start_job()
        while self._pending_bytes >= MAX_PENDING_BYTES and self._job is not None:
            await asyncio.wait((self._job,))
        self._check()

    async def finish(self) -> Digest:
        """Wait until all is in the file; give the digest of what is there without a hole.

        Raises: StoreUnavailable: the file system refused.
        """
        while self._job is not None or self._hashed < self.front:
            self._check()
            if self._job is None:
                self._start_job()
            await asyncio.wait((self._job,) if self._job is not None else ())
        if self._side_job is not None:
            await asyncio.wait((self._side_job,))
        self._check()
        return Digest(self._algorithm, self._hasher.hexdigest())

    async def cut_back(self, size: int) -> None:
        """Drop what was written beyond *size*: the other side of a copy took no more than that.

        Raises: StoreUnavailable: the file system refused.
        """
        await self.finish()
        await asyncio.wait((self._start_side_job(self._truncate_and_hash, size),))
        self._check()
        self.begin_with(size)

    def _truncate_and_hash(self, size: int) -> None:
        os.ftruncate(self.descriptor_number, size)
        self._hasher = self._algorithm.hasher()
        self._hashed = 0
        self._hash_up_to(size)

    def _check(self) -> None:
        if self._failure is not None:
            raise StoreUnavailable("the local store can't be written") from self._failure

    def _start_job(self) -> None:
        batch, self._pending = self._pending, []
        self._pending_bytes = 0
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._tree.executor, self._work_off, batch, self.front)
        self._job = job
        job.add_done_callback(self._job_ended)

    def _work_off(self, batch: list[Piece], front: int) -> list[ByteSpan]:
        """Hash what isn't yet, as far as there is no hole, then write a batch."""
        self._hash_up_to(min(front, self._hashed + READ_BACK_BYTES))
        for offset, chunk in batch:
            self._write_piece(offset, memoryview(chunk))
        return [ByteSpan(offset, offset + len(chunk)) for offset, chunk in batch]

    def _write_piece(self, offset: int, view: memoryview) -> None:
        while view:
            count = os.pwrite(self.descriptor_number, view, offset)
            if offset == self._hashed:
                self._hasher.update(view[:count])
                self._hashed += count
            view = view[count:]
            offset += count

    def _hash_up_to(self, stop: int) -> None:
        while self._hashed < stop:
            step = min(READ_BACK_STEP_BYTES, stop - self._hashed)
            data = os.pread(self.descriptor_number, step, self._hashed)
            if not data:
                raise OSError(errno.EIO, "a spool file is shorter than it was")
            self._hasher.update(data)
            self._hashed += len(data)

    def _job_ended(self, job: asyncio.Future[list[ByteSpan]]) -> None:
        self._job = None
        if job.cancelled():
            return
        if (failure := job.exception()) is not None:
            self._fail(failure)
            return
        for span in job.result():
            self._here.add(span)
            self._written += len(span)
            self._on_progress(span)
        self._sync_sometimes()
        if self._pending:
            self._start_job()

    def _sync_sometimes(self) -> None:
        """Write back as the file grows, so that the last sync is short."""
        if self._failure is not None or self._side_job is not None:
            return
        front = self.front
        if max(self._written - self._synced, front - self._synced_front) < SYNC_EVERY_BYTES:
            return
        self._synced, self._synced_front = self._written, front
        _ = self._start_side_job(self.record, self.descriptor_number, front)

    def _start_side_job(self, work: Callable[..., None], *arguments: int) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        self._side_job = loop.run_in_executor(self._tree.executor, work, *arguments)
        self._side_job.add_done_callback(self._side_job_ended)
        return self._side_job

    def _side_job_ended(self, job: asyncio.Future[None]) -> None:
        self._side_job = None
        if not job.cancelled() and (failure := job.exception()) is not None:
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        """Give up: pages of a failed sync are marked clean, so nothing more is written here."""
        self._failure = failure if isinstance(failure, OSError) else OSError(str(failure))
        self._drop_pending()
        self._tree.note_failure(self._failure)

    def _drop_pending(self) -> None:
        self._pending.clear()
        self._pending_bytes = 0

    async def quiet(self) -> None:
        """Wait until no thread uses the descriptor any more; whatever they find is dropped."""
        self._drop_pending()
        while jobs := [job for job in (self._job, self._side_job) if job is not None]:
            await asyncio.wait(jobs)


async def open_spool_file(tree: Tree, size: int | None) -> tuple[Path, int]:
    """Make a new file in the spool, as `create_spool_file` does, in a thread.

    Raises: StoreUnavailable. A caller that is cancelled meanwhile leaves no file behind.
    """
    tree.health.require_writable()
    made: list[tuple[Path, int]] = []

    def make() -> None:
        made.append(create_spool_file(tree.layout.spool, size))

    try:
        await to_its_end(tree.run(make))
    except asyncio.CancelledError:
        for path, descriptor in made:
            os.close(descriptor)
            await to_its_end(remove_spool_file(tree, path))
        raise
    return made[0]


async def remove_spool_file(tree: Tree, path: Path) -> None:
    """Remove a file from the spool, unless it has been renamed; what can't be is a leftover."""
    with contextlib.suppress(StoreUnavailable):
        await tree.run(functools.partial(path.unlink, missing_ok=True))


def create_spool_file(folder: Path, size: int | None) -> tuple[Path, int]:
    """Make a new file, its space claimed where *size* is known. Blocks.

    Raises: OSError: no room, read-only, not allowed.
    """
    path = folder / f"fill-{secrets.token_hex(8)}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    try:
        if size:
            os.posix_fallocate(descriptor, 0, size)
    except OSError:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return path, descriptor
