"""The sidecar: what the tree can't say, in one SQLite file.

Losing it may cost freshness, the order of eviction and pins, never rights or bytes: it is an index
that fills again. What is kept of tags and listings is bounded: the least recently checked go first.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from proxy.oci.digest import Digest
from proxy.oci.errors import DigestInvalid
from proxy.oci.reference import Repository, Tag
from proxy.registry import schema, sqlite_file
from proxy.registry.sqlite_file import Row, SqliteFile, Statement

WRITE_WITHIN_SECONDS = 0.2
MAX_QUEUED_WRITES = 10_000
MAX_TAGS = 200_000
MAX_ANSWERS = 20_000
MAX_ANSWER_BYTES = 256 << 20
TRIM_EVERY_WRITES = 1_000

_TRIM_TAGS = """
DELETE FROM tag WHERE (repository, tag) IN (
    SELECT repository, tag FROM tag ORDER BY checked_at DESC LIMIT -1 OFFSET ?)
"""
_TRIM_ANSWERS = """
DELETE FROM answer WHERE (kind, repository, key) IN (
    SELECT kind, repository, key FROM (
        SELECT kind, repository, key, row_number() OVER latest AS place,
            sum(length(body) + length(headers)) OVER latest AS bytes
        FROM answer WINDOW latest AS (ORDER BY checked_at DESC, kind, repository, key))
    WHERE place > ? OR bytes > ?)
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TagRow:
    """What was last known of a tag; `checked_at` is wall-clock seconds."""

    digest: Digest
    checked_at: float


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """A listing as the primary gave it; `headers` are the ones that matter, as JSON."""

    headers: str
    body: bytes
    checked_at: float


@dataclass(frozen=True, slots=True)
class _Transaction:
    """A batch that somebody waits for."""

    batch: Sequence[Statement]
    is_written: asyncio.Future[bool]

    def end(self, *, is_written: bool) -> None:
        if not self.is_written.done():
            self.is_written.set_result(is_written)


class Sidecar:
    """Reads wait for the thread; writes are queued and leave together within 0.2 s.

    A file that can't be used (locked by another, full disk) costs what it would have told: reads
    then find nothing, writes are tried again and, beyond a number, dropped. `failures` counts that.
    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, schema.STEPS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sidecar")
        self._queue: list[Statement] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flush_job: asyncio.Future[tuple[bool, list[bool]]] | None = None
        self._transactions: list[_Transaction] = []
        self._dropped_writes = 0
        self._untrimmed_writes = 0
        self.answer_drops = 0
        """How often listings were forgotten: one asked for before that may be as old as they."""

    @property
    def failures(self) -> int:
        """How often the file couldn't be used, or a write was dropped."""
        return self._file.failures + self._dropped_writes

    async def open(self) -> None:
        """Open the file; see `SqliteFile.open`.

        Raises: SchemaTooNew.
        """
        await self._run(self._file.open)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _one(self, sql: str, *values: object) -> Row | None:
        await self.flush()  # what was put before is seen
        return await self._run(lambda: self._file.one(sql, values))

    async def all(self, sql: str, *values: object) -> list[Row] | None:
        """Give the rows of a query; None if they can't be read now."""
        await self.flush()
        return await self._run(lambda: self._file.all(sql, values))

    async def write_all(self, batch: Sequence[Statement]) -> bool:
        """Write a batch in one transaction of its own; False: not now, it isn't kept for later."""
        await self.flush()
        return await self._run(lambda: self._file.commit(batch))

    async def transact(self, batch: Sequence[Statement]) -> bool:
        """Write a batch, all of it or nothing; False: it isn't written.

        Batches that come while one is being written share the next transaction: a commit costs two
        or three fsyncs, however much is in it.
        """
        transaction = _Transaction(batch, asyncio.get_running_loop().create_future())
        self._transactions.append(transaction)
        if self._flush_job is None:
            self._start_flush()
        return await asyncio.shield(transaction.is_written)

    def queue(self, sql: str, *values: object) -> None:
        """Write one statement soon; it may be dropped where the file can't be used for long."""
        self._write(sql, *values)

    def doubt(self, artifact: Digest) -> None:
        """Let it be looked at whether an artifact is still complete: a link of it went."""
        self._write("UPDATE artifact SET doubts = doubts + 1 WHERE digest = ?", str(artifact))

    # --- tags ---------------------------------------------------------------------------------

    async def tag(self, repository: Repository, tag: Tag) -> TagRow | None:
        """Give what is known of a tag."""
        row = await self._one(
            "SELECT digest, checked_at FROM tag WHERE repository = ? AND tag = ?", repository, tag
        )
        if row is None:
            return None
        try:
            return TagRow(Digest.parse(str(row[0])), float(str(row[1])))
        except (DigestInvalid, ValueError):
            return None

    def put_tag(self, repository: Repository, tag: Tag, row: TagRow) -> None:
        """Keep what is known of a tag."""
        self._write(
            "INSERT OR REPLACE INTO tag VALUES (?, ?, ?, ?)",
            repository,
            tag,
            str(row.digest),
            row.checked_at,
        )
        self._trim_sometimes()

    def drop_tag(self, repository: Repository, tag: Tag) -> None:
        """Forget a tag."""
        self._write("DELETE FROM tag WHERE repository = ? AND tag = ?", repository, tag)

    # --- listings -----------------------------------------------------------------------------

    async def answer(self, kind: str, repository: Repository, key: str) -> AnswerRow | None:
        """Give a kept listing."""
        row = await self._one(
            "SELECT headers, body, checked_at FROM answer"
            " WHERE kind = ? AND repository = ? AND key = ?",
            kind,
            repository,
            key,
        )
        if row is None:
            return None
        headers, body, checked_at = row
        return AnswerRow(str(headers), bytes(body), float(str(checked_at)))  # type: ignore[call-overload]

    def put_answer(self, kind: str, repository: Repository, key: str, row: AnswerRow) -> None:
        """Keep a listing."""
        self._write(
            "INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?)",
            kind,
            repository,
            key,
            row.headers,
            row.body,
            row.checked_at,
        )
        self._trim_sometimes()

    def drop_answers(self, kind: str, repository: Repository, key_prefix: str = "") -> None:
        """Forget the listings of a repository whose key begins with *key_prefix*."""
        self.answer_drops += 1
        self._write(
            "DELETE FROM answer WHERE kind = ? AND repository = ? AND substr(key, 1, ?) = ?",
            kind,
            repository,
            len(key_prefix),
            key_prefix,
        )

    # --- single facts -------------------------------------------------------------------------

    async def fact(self, name: str) -> str | None:
        """Give one remembered fact, e.g. the primary's challenge."""
        row = await self._one("SELECT value FROM fact WHERE name = ?", name)
        return None if row is None else str(row[0])

    def put_fact(self, name: str, value: str) -> None:
        """Remember one fact."""
        self._write("INSERT OR REPLACE INTO fact VALUES (?, ?)", name, value)

    # --- writing ------------------------------------------------------------------------------

    def _trim_sometimes(self) -> None:
        self._untrimmed_writes += 1
        if self._untrimmed_writes >= TRIM_EVERY_WRITES:
            self._untrimmed_writes = 0
            self._write(_TRIM_TAGS, MAX_TAGS)
            self._write(_TRIM_ANSWERS, MAX_ANSWERS, MAX_ANSWER_BYTES)

    def _write(self, sql: str, *values: object) -> None:
        if len(self._queue) >= MAX_QUEUED_WRITES:
            self._dropped_writes += 1
            return
        self._queue.append((sql, values))
        self._flush_in(WRITE_WITHIN_SECONDS)

    def _flush_in(self, seconds: float) -> None:
        if self._flush_timer is None and self._flush_job is None:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(seconds, self._start_flush)

    def _start_flush(self) -> None:
        self._stop_timer()
        batch, self._queue = self._queue, []
        transactions, self._transactions = self._transactions, []
        batches = [each.batch for each in transactions]
        loop = asyncio.get_running_loop()
        write = partial(self._file.write_together, batch, batches)
        self._flush_job = loop.run_in_executor(self._thread, write)
        self._flush_job.add_done_callback(lambda job: self._flush_ended(job, batch, transactions))

    def _stop_timer(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None

    def _flush_ended(
        self,
        job: asyncio.Future[tuple[bool, list[bool]]],
        batch: list[Statement],
        transactions: Sequence[_Transaction],
    ) -> None:
        """Go on with what came meanwhile; what couldn't be written now is tried again later."""
        self._flush_job = None
        is_done, written = True, [False] * len(transactions)
        if job.cancelled() or job.exception() is not None:  # it would fail again
            self._dropped_writes += len(batch)
        else:
            is_done, written = job.result()
        for transaction, is_written in zip(transactions, written, strict=True):
            transaction.end(is_written=is_written)
        if not is_done:
            waiting = [*batch, *self._queue]
            self._queue = waiting[:MAX_QUEUED_WRITES]
            self._dropped_writes += len(waiting) - len(self._queue)
        if self._transactions or (is_done and self._queue):
            self._start_flush()
        elif not is_done:
            self._flush_in(sqlite_file.RETRY_SECONDS)

    async def flush(self) -> None:
        """Try to write everything that was put before."""
        if self._flush_job is not None:
            await asyncio.wait((self._flush_job,))
        if self._flush_job is None and self._queue:
            self._start_flush()
        if self._flush_job is not None:
            await asyncio.wait((self._flush_job,))

    async def close(self) -> None:
        """Write what is queued, if that can be done now, and close."""
        await self.flush()
        self._stop_timer()
        await self._run(self._file.close)
        self._thread.shutdown(wait=True)
