"""The hub's database: one connection in one thread, and writes that share their commits.

A write is durable when it returns. Those that come while a commit runs go into the next one
together: one transaction, one fsync. If one of them fails, each is done again by itself, so that
what is wrong with one is its own matter. Works must therefore be repeatable, and touch nothing but
the connection they are given.

SQLite: one connection, since 3.7.0 to 3.51.2 can corrupt a WAL that two checkpoint; the journal is
truncated for the same reason. A second process on the file is kept out by a lock beside it.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from hub.errors import Unavailable
from hub.migrate import migrate

MAX_IN_ONE_COMMIT = 500
MAX_WAITING = 20_000

T = TypeVar("T")
Work = Callable[[Connection], T]


class DatabaseInUse(Exception):
    """Another process has the database."""


class DatabaseDamaged(Exception):
    """The file is no database, or not a whole one."""


class DatabaseUnavailable(Unavailable):
    """What was asked of the database couldn't be done; nothing of it has happened."""

    default_message = "the database can't be written or read now"


@dataclass(slots=True)
class _Write:
    work: Work[Any]
    done: "asyncio.Future[Any]"


class Database:
    """The connection and its thread. `failures` counts what couldn't be done."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hub-database")
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._lock: int | None = None
        self._waiting: list[_Write] = []
        self._committing: asyncio.Task[None] | None = None
        self._is_closed = False
        self.failures = 0
        self.commits = 0

    # --- its life --------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take the database, made if it isn't there, and bring its schema up to date.

        Raises: DatabaseInUse, DatabaseDamaged, SchemaTooNew, DatabaseUnavailable, OSError.
        """
        try:
            await self._run(self._open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish the writes that wait, and let go of the database."""
        self._is_closed = True
        if self._committing is not None:
            await asyncio.wait((self._committing,))
        await self._run(self._close)
        self._thread.shutdown()

    def _open(self) -> None:
        if self._url.database:
            path = Path(self._url.database)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(path.with_name(f"{path.name}.lock"))
        self._engine = _engine_of(self._url.render_as_string(hide_password=False))
        try:
            connection = self._connected()
            _check(connection)
            migrate(connection)
        except DBAPIError as exc:
            if "not a database" in str(exc.orig) or "malformed" in str(exc.orig):
                raise DatabaseDamaged(f"{self._url} is damaged: {exc.orig}") from exc
            raise DatabaseUnavailable(f"the database can't be opened: {exc.orig}") from exc

    def _close(self) -> None:
        self._disconnect()
        if self._engine is not None:
            self._engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- reading and writing ---------------------------------------------------------------------

    async def read(self, work: Work[T]) -> T:
        """Give what *work* reads. Raises: DatabaseUnavailable."""
        return await self._run(self._read, work)

    async def write(self, work: Work[T]) -> T:
        """Give what *work* gives, once what it wrote is durable.

        Writes happen in the order in which they are asked for. One whose caller was cancelled
        happens all the same.

        Raises: DatabaseUnavailable: nothing was written. Whatever *work* raises.
        """
        return await asyncio.shield(self.submit(work))

    def submit(self, work: Work[T]) -> "asyncio.Future[T]":
        """Ask for a write; give what tells its end, as `write` does. Ends come in order.

        Raises: DatabaseUnavailable: too many wait already, or it is closed.
        """
        if self._is_closed or len(self._waiting) >= MAX_WAITING:
            raise DatabaseUnavailable
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(work, done))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        return done

    async def _commit_all(self) -> None:
        while self._waiting:
            batch = self._waiting[:MAX_IN_ONE_COMMIT]
            del self._waiting[:MAX_IN_ONE_COMMIT]
            results = await self._run(self._commit, [write.work for write in batch])
            for write, result in zip(batch, results, strict=True):
                if write.done.done():
                    continue
                if isinstance(result, _Failed):
                    write.done.set_exception(result.cause)
                else:
                    write.done.set_result(result)
        self._committing = None

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    # --- in the thread ---------------------------------------------------------------------------

    def _read(self, work: Work[T]) -> T:
        try:
            connection = self._connected()
            with connection.begin():
                return work(connection)
        except DBAPIError as exc:
            raise self._unavailable() from exc

    def _commit(self, works: Sequence[Work[Any]]) -> list[Any]:
        """Do some works in one transaction, or in one each if any of them fails."""
        try:
            connection = self._connected()
            with connection.begin():
                results = [work(connection) for work in works]
        except DBAPIError as exc:
            if len(works) > 1 and not _is_of_the_disk(exc):
                return [self._commit([work])[0] for work in works]
            failure = self._unavailable()
            failure.__cause__ = exc
            return [_Failed(failure)] * len(works)
        except Exception as exc:  # noqa: BLE001  # whoever asked for the work gets it
            if len(works) > 1:
                return [self._commit([work])[0] for work in works]
            return [_Failed(exc)]
        self.commits += 1
        return results

    def _connected(self) -> Connection:
        if self._engine is None:
            raise DatabaseUnavailable
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _unavailable(self) -> DatabaseUnavailable:
        """Begin with a new connection: what a failed fsync left in memory may not be on disk."""
        self.failures += 1
        try:
            self._disconnect()
        except DBAPIError:
            self._connection = None
        return DatabaseUnavailable()


@dataclass(frozen=True, slots=True)
class _Failed:
    cause: Exception


def _engine_of(url: str) -> Engine:
    engine = create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the module begins nothing by itself: `_begin_sqlite` does
    for pragma in ("journal_mode = TRUNCATE", "synchronous = FULL", "busy_timeout = 250"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _check(connection: Connection) -> None:
    """Look whether the file is whole. Raises: DatabaseDamaged: with what is wrong."""
    if connection.dialect.name != "sqlite":
        return
    with connection.begin():
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise DatabaseDamaged(f"{connection.engine.url} is damaged: {found}")


def _is_of_the_disk(exc: DBAPIError) -> bool:
    """Say whether the next work would meet the same: no room, no rights, an I/O error."""
    name = getattr(exc.orig, "sqlite_errorname", "")
    return name.startswith(
        ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY")
    )


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise DatabaseInUse(f"another process uses the database beside {path}") from exc
    return descriptor
