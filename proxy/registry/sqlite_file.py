"""One SQLite file on one connection, for one thread; whatever is wrong with it stops nothing.

A damaged file is moved aside and begun anew; one that is locked, full or out of reach gives
nothing now and is tried again later; one written by a newer version is refused.

One connection, since SQLite 3.7.0 to 3.51.2 can corrupt a WAL that two connections checkpoint;
the journal mode is TRUNCATE for the same reason.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

BUSY_TIMEOUT_SECONDS = 0.25
RETRY_SECONDS = 1.0

_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PASSING = _LOCKED | {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}

T = TypeVar("T")
Row = tuple[object, ...]
Statement = tuple[str, tuple[object, ...]]


class SchemaTooNew(Exception):
    """The file was written by a newer version of this program."""


class SqliteFile:
    """Everything here blocks and is for one thread. `failures` counts what couldn't be done."""

    def __init__(self, path: Path, steps: Sequence[str]) -> None:
        """*steps* lead from each schema version to the next; 0 is an empty file."""
        self._path = path
        self._steps = steps
        self._connection: sqlite3.Connection | None = None
        self._paused_until = float("-inf")
        self.failures = 0

    def open(self) -> None:
        """Open the file; begin anew if it is damaged.

        Raises: SchemaTooNew. OSError or sqlite3.Error never: without the file all goes on.
        """
        try:
            self._connection = self._connect_or_renew()
        except (OSError, sqlite3.Error):
            self._note_failure()
            self._pause()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def one(self, sql: str, values: tuple[object, ...]) -> Row | None:
        """Give the first row; None if there is none, or none can be had now."""
        rows = self.all(sql, values)
        return rows[0] if rows else None

    def all(self, sql: str, values: tuple[object, ...]) -> list[Row] | None:
        """Give the rows; None if none can be had now, which isn't the same as no rows."""
        return self._attempt(lambda connection: connection.execute(sql, values).fetchall())

    def commit(self, batch: Iterable[Statement]) -> bool:
        """Write a batch in one transaction; False if that is worth another try later."""

        def write(connection: sqlite3.Connection) -> bool:
            try:
                _execute(connection, batch)
            except sqlite3.Error as exc:
                if _code(exc) in _PASSING:
                    raise
                self._note_failure()
            return True

        return self._attempt(write) or False

    def transact(self, batch: Iterable[Statement]) -> bool:
        """Write a batch in one transaction; False if it isn't written, whatever the reason."""

        def write(connection: sqlite3.Connection) -> bool:
            _execute(connection, batch)
            return True

        return self._attempt(write) or False

    def write_together(
        self, queued: Sequence[Statement], batches: Sequence[Sequence[Statement]]
    ) -> tuple[bool, list[bool]]:
        """Write what is *queued* as `commit` does and *batches* as `transact`, in one transaction.

        Where one of them is at fault each is written by itself, so that it is no fault of others.
        """
        parts = [each for each in (queued, *batches) if each]
        together = self._write_all(parts) if len(parts) > 1 else None
        if together is not None:
            return together, [together] * len(batches)
        is_done = self.commit(queued) if queued else True
        return is_done, [self.transact(batch) for batch in batches]

    def _write_all(self, parts: Sequence[Sequence[Statement]]) -> bool | None:
        """Say whether all is written in one transaction; None: one of them is at fault."""

        def write(connection: sqlite3.Connection) -> bool:
            try:
                _execute(connection, chain.from_iterable(parts))
            except sqlite3.Error as exc:
                if _code(exc) in _PASSING:
                    raise
                return False
            return True

        is_written = self._attempt(write)
        if is_written is None:
            return False
        return is_written or None

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Give what *work* gives; None if the file can't be used now.

        One that is locked isn't tried again at once, so that those who wait behind somebody who
        has waited for it don't wait as long again.
        """
        if time.monotonic() < self._paused_until:
            self._note_failure()
            return None
        if self._connection is None:
            self._reopen()
        if self._connection is None:
            return None
        try:
            return work(self._connection)
        except sqlite3.Error as exc:
            self._note_failure()
            if _code(exc) in _LOCKED:
                self._pause()
            return None

    def _reopen(self) -> None:
        try:
            self.open()
        except SchemaTooNew:
            self._note_failure()
            self._pause()

    def _note_failure(self) -> None:
        self.failures += 1

    def _pause(self) -> None:
        self._paused_until = time.monotonic() + RETRY_SECONDS

    def _connect_or_renew(self) -> sqlite3.Connection:
        """Connect; where the file is damaged move it aside and begin anew.

        It is looked at twice: a page that couldn't be read once makes SQLite say the same.
        """
        for _ in range(2):
            try:
                return self._connect()
            except sqlite3.OperationalError:  # locked, no rights, no room: nothing is known
                raise
            except sqlite3.DatabaseError:
                continue
        self._path.rename(self._path.with_suffix(f".damaged-{time.time_ns()}"))
        self._path.with_name(f"{self._path.name}-journal").unlink(missing_ok=True)
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_SECONDS, check_same_thread=False, cached_statements=64
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = FULL")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if "error code=" in found:  # a page couldn't be read: that isn't known to be wrong
            raise sqlite3.OperationalError(found)
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        newest = len(self._steps)
        if version > newest:
            raise SchemaTooNew(f"{self._path} has schema {version}; this version reads {newest}")
        if version < newest:
            steps = "".join(self._steps[version:])
            connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {newest}; COMMIT;")


def _execute(connection: sqlite3.Connection, batch: Iterable[Statement]) -> None:
    with connection:
        for sql, values in batch:
            connection.execute(sql, values)


def _code(exc: sqlite3.Error) -> int:
    """Give SQLite's primary result code (sqlite.org/rescode.html); 0: it has none."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF
