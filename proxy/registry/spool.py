"""The spool: files that grow until they are whole and enter the tree.

A writer takes chunks in order and writes and hashes them in a thread, in batches that gather
while the thread is busy: a fast link gives large batches, a slow one gives each chunk at once.
"""

import asyncio
import contextlib
import functools
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from proxy.oci.digest import Algorithm, Digest
from proxy.oci.errors import StoreUnavailable
from proxy.registry.ending import to_its_end
from proxy.registry.tree import Tree

MAX_PENDING_BYTES = 256 << 10
SYNC_EVERY_BYTES = 32 << 20


class SpoolFile:
    """One file being written: in order, each byte hashed once.

    `accepted` bytes were taken, `written` of them are in the file. *on_progress* is called on the
    loop with the number of bytes that were added to the file.
    """

    def __init__(
        self,
        path: Path,
        descriptor_number: int,
        algorithm: Algorithm,
        tree: Tree,
        on_progress: Callable[[int], None],
    ) -> None:
        self.path = path
        self.descriptor_number = descriptor_number
        self._tree = tree
        self._on_progress = on_progress
        self._hasher = algorithm.hasher()
        self._algorithm = algorithm
        self.accepted = 0
        self._written = 0
        self._synced = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._job: asyncio.Future[int] | None = None
        self._side_job: asyncio.Future[None] | None = None
        self._failure: OSError | None = None

    @property
    def written(self) -> int:
        """Bytes that are in the file."""
        return self._written

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes; wait only while too many are pending.

        Raises: StoreUnavailable: the file system refused.
        """
        self._check()
        self.accepted += len(chunk)
        self._pending.append(chunk)
        self._pending_bytes += len(chunk)
        if self._job is None:
            self._start_job()
        while self._pending_bytes >= MAX_PENDING_BYTES and self._job is not None:
            await asyncio.wait((self._job,))
        self._check()

    async def finish(self) -> Digest:
        """Wait until all is in the file; give the digest of everything written.

        Raises: StoreUnavailable: the file system refused.
        """
        while self._job is not None:
            await asyncio.wait((self._job,))
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
        self.accepted = self._written = size
        self._synced = min(self._synced, size)

    def _truncate_and_hash(self, size: int) -> None:
        os.ftruncate(self.descriptor_number, size)
        self._hasher = self._algorithm.hasher()
        offset = 0
        while chunk := os.pread(self.descriptor_number, MAX_PENDING_BYTES, offset):
            self._hasher.update(chunk)
            offset += len(chunk)

    def _check(self) -> None:
        if self._failure is not None:
            raise StoreUnavailable("the local store can't be written") from self._failure

    def _start_job(self) -> None:
        batch, self._pending = self._pending, []
        self._pending_bytes = 0
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._tree.executor, self._write_batch, batch, self._written)
        self._job = job
        job.add_done_callback(self._job_ended)

    def _write_batch(self, batch: list[bytes], offset: int) -> int:
        start = offset
        for chunk in batch:
            view = memoryview(chunk)
            while view:
                count = os.pwrite(self.descriptor_number, view, offset)
                self._hasher.update(view[:count])
                view = view[count:]
                offset += count
        return offset - start

    def _job_ended(self, job: asyncio.Future[int]) -> None:
        self._job = None
        if job.cancelled():
            return
        if (failure := job.exception()) is not None:
            self._fail(failure)
            return
        self._written += job.result()
        self._on_progress(job.result())
        self._sync_sometimes()
        if self._pending:
            self._start_job()

    def _sync_sometimes(self) -> None:
        """Write back as the file grows, so that the last sync is short."""
        if self._failure is not None or self._side_job is not None:
            return
        if self._written - self._synced < SYNC_EVERY_BYTES:
            return
        self._synced = self._written
        _ = self._start_side_job(os.fdatasync, self.descriptor_number)

    def _start_side_job(self, work: Callable[[int], None], argument: int) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        self._side_job = loop.run_in_executor(self._tree.executor, work, argument)
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
