"""The sidecar: what the tree can't say, in one SQLite file on one connection in one thread.

Losing it may cost freshness, never rights or bytes: it is an index that fills again. A damaged
file is moved aside and begun anew; one written by a newer version is refused.

One connection, since SQLite 3.7.0 to 3.51.2 can corrupt a WAL that two connections checkpoint;
the journal mode is TRUNCATE for the same reason.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from proxy.oci.digest import Digest
from proxy.oci.errors import DigestInvalid
from proxy.oci.reference import Repository, Tag

SCHEMA_VERSION = 1
BUSY_TIMEOUT_SECONDS = 1.0
WRITE_WITHIN_SECONDS = 0.2
MAX_QUEUED_WRITES = 10_000

_SCHEMA = """
CREATE TABLE tag (
    repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL, checked_at REAL NOT NULL,
    PRIMARY KEY (repository, tag)
) WITHOUT ROWID;
CREATE TABLE answer (
    kind TEXT NOT NULL, repository TEXT NOT NULL, key TEXT NOT NULL,
    headers TEXT NOT NULL, body BLOB NOT NULL, checked_at REAL NOT NULL,
    PRIMARY KEY (kind, repository, key)
) WITHOUT ROWID;
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

T = TypeVar("T")
Statement = tuple[str, tuple[object, ...]]


class SchemaTooNew(Exception):
    """The file was written by a newer version of this program."""


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


class Sidecar:
    """Reads wait for the thread; writes are queued and leave together within 0.2 s.

    A file that can't be used (locked by another, full disk) costs what it would have told:
    reads then find nothing, and writes are dropped and counted in `failures`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sidecar")
        self._connection: sqlite3.Connection | None = None
        self._queue: list[Statement] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flush_job: asyncio.Future[None] | None = None
        self.failures = 0

    async def open(self) -> None:
        """Open the file; begin anew if it is damaged.

        Raises: SchemaTooNew. OSError or sqlite3.Error never: without a file all goes on.
        """
        await self._run(self._open)

    def _open(self) -> None:
        try:
            self._connection = _connect(self._path)
        except sqlite3.DatabaseError as exc:
            if isinstance(exc, sqlite3.OperationalError):
                self.failures += 1
                return
            aside = self._path.with_suffix(f".damaged-{int(time.time())}")
            self._path.rename(aside)
            self._path.with_suffix(".sqlite-journal").unlink(missing_ok=True)
            self._connection = _connect(self._path)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _one(self, sql: str, *values: object) -> tuple[object, ...] | None:
        queued, self._queue = self._queue, []

        def work() -> tuple[object, ...] | None:
            self._commit(queued)  # what was put before is seen
            if self._connection is None:
                return None
            try:
                row: tuple[object, ...] | None = self._connection.execute(sql, values).fetchone()
            except sqlite3.Error:
                self.failures += 1
                return None
            return row

        return await self._run(work)

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

    def drop_answers(self, kind: str, repository: Repository, key_prefix: str = "") -> None:
        """Forget the listings of a repository whose key begins with *key_prefix*."""
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

    def _write(self, sql: str, *values: object) -> None:
        if len(self._queue) >= MAX_QUEUED_WRITES:
            self.failures += 1
            return
        self._queue.append((sql, values))
        if self._flush_timer is None and self._flush_job is None:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(WRITE_WITHIN_SECONDS, self._start_flush)

    def _start_flush(self) -> None:
        self._flush_timer = None
        batch, self._queue = self._queue, []
        loop = asyncio.get_running_loop()
        self._flush_job = loop.run_in_executor(self._thread, self._commit, batch)
        self._flush_job.add_done_callback(self._flush_ended)

    def _flush_ended(self, _job: asyncio.Future[None]) -> None:
        self._flush_job = None
        if self._queue:
            self._start_flush()

    def _commit(self, batch: Iterable[Statement]) -> None:
        if self._connection is None:
            return
        try:
            with self._connection:
                for sql, values in batch:
                    self._connection.execute(sql, values)
        except sqlite3.Error:
            self.failures += 1

    async def flush(self) -> None:
        """Wait until everything that was put is written."""
        while self._flush_timer is not None or self._flush_job is not None:
            if self._flush_timer is not None:
                self._flush_timer.cancel()
                self._start_flush()
            if self._flush_job is not None:
                await asyncio.wait((self._flush_job,))

    async def close(self) -> None:
        """Write what is queued and close."""
        await self.flush()
        await self._run(self._close)
        self._thread.shutdown(wait=True)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_SECONDS, check_same_thread=False, cached_statements=64
    )
    try:
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("quick_check failed")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise SchemaTooNew(f"{path} has schema {version}; this version reads {SCHEMA_VERSION}")
        if version == 0:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = 1; COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection
