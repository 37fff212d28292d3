"""The database: durable when a write returns, shared commits, one process, known schemas."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hub.database import Database, DatabaseDamaged, DatabaseInUse, DatabaseUnavailable
from hub.facts import put_fact, read_fact
from hub.migrate import SchemaTooNew
from hub.schema import metadata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "hub.db"


async def opened(path: Path) -> Database:
    database = Database(f"sqlite:///{path}")
    await database.open()
    return database


def put(name: str, value: str = "x"):
    return lambda connection: put_fact(connection, name, value)


def names(path: Path) -> list[str]:
    """Read what another process sees."""
    with sqlite3.connect(path) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM facts ORDER BY name")]


def content(path: Path) -> bytes:
    return path.read_bytes()


def damaged(path: Path, damage: str) -> bytes:
    """Damage a database; give what is there then."""
    data = content(path)
    path.write_bytes(b"junk" * 4096 if damage == "no database" else data[:4096] + bytes(8192))
    return content(path)


async def test_a_write_is_there_when_it_returns(path: Path) -> None:
    """Whatever was written is in the file for everybody, before the writer is told."""
    database = await opened(path)
    await database.write(put("one"))
    assert names(path) == ["one"]
    assert await database.read(lambda connection: read_fact(connection, "one")) == "x"
    await database.close()


async def test_writes_that_come_together_share_a_commit(path: Path) -> None:
    """A thousand writes at once cost a few transactions."""
    database = await opened(path)
    before = database.commits
    await asyncio.gather(*(database.write(put(f"{number:04}")) for number in range(1000)))
    assert len(names(path)) == 1000
    assert database.commits - before <= 4
    await database.close()


async def test_one_that_fails_takes_none_with_it(path: Path) -> None:
    """What is wrong with one write is its own matter, an error of ours or of the database's."""

    def wrong(connection: Connection) -> None:
        put_fact(connection, "half", "x")
        raise ValueError("wrong")

    def broken(connection: Connection) -> None:
        put_fact(connection, "half", "x")
        connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")

    database = await opened(path)
    results = await asyncio.gather(
        *(database.write(work) for work in (put("a"), wrong, put("b"), broken, put("c"))),
        return_exceptions=True,
    )
    assert [type(each) for each in results] == [
        type(None),
        ValueError,
        type(None),
        DatabaseUnavailable,
        type(None),
    ]
    assert names(path) == ["a", "b", "c"]
    await database.close()


async def test_writes_happen_in_order(path: Path) -> None:
    """The last of several writes of one thing is what stays."""
    database = await opened(path)
    await asyncio.gather(*(database.write(put("same", str(number))) for number in range(700)))
    assert await database.read(lambda connection: read_fact(connection, "same")) == "699"
    await database.close()


async def test_a_caller_that_leaves_ends_nothing(path: Path) -> None:
    """A cancelled writer's write happens, and so do those beside it."""
    database = await opened(path)
    leaving = asyncio.create_task(database.write(put("leaving")))
    staying = asyncio.create_task(database.write(put("staying")))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert names(path) == ["leaving", "staying"]
    await database.close()


async def test_closing_finishes_what_waits(path: Path) -> None:
    """Writes that were asked for before the end are done; later ones are refused."""
    database = await opened(path)
    writes = [asyncio.create_task(database.write(put(f"{number}"))) for number in range(5)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*writes)
    assert len(names(path)) == 5
    with pytest.raises(DatabaseUnavailable):
        await database.write(put("late"))


async def test_one_process_at_a_time(path: Path) -> None:
    """Whoever comes second is refused, and leaves the first alone."""
    database = await opened(path)
    with pytest.raises(DatabaseInUse):
        await opened(path)
    await database.write(put("one"))
    await database.close()
    await (await opened(path)).close()


async def test_a_newer_schema_is_refused(path: Path) -> None:
    """F27: a version that isn't known is named, and nothing is changed."""
    await (await opened(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = content(path)
    with pytest.raises(SchemaTooNew, match="9999"):
        await opened(path)
    assert content(path) == before


@pytest.mark.parametrize("damage", ["no database", "a page"])
async def test_a_damaged_file_is_left_alone(path: Path, damage: str) -> None:
    """F17: what can't be trusted is refused and not touched: the log may be brought back."""
    await (await opened(path)).close()
    before = damaged(path, damage)
    with pytest.raises(DatabaseDamaged):
        await opened(path)
    assert content(path) == before


async def test_one_connection_without_a_write_ahead_log(path: Path) -> None:
    """C24: the journal is a truncated one, synced in full, on one connection."""
    database = await opened(path)

    def pragmas(connection: Connection) -> list[object]:
        return [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous")
        ]

    assert await database.read(pragmas) == ["truncate", 2]
    first = await database.read(lambda connection: connection.connection.dbapi_connection)
    assert await database.write(lambda each: each.connection.dbapi_connection) is first
    await database.close()


async def test_migrations_lead_to_the_tables_that_are_used(path: Path) -> None:
    """The steps of the schema end where the code's tables are: same columns, same indexes."""
    database = await opened(path)
    migrated = await database.read(_shape)
    await database.close()
    other = Database(f"sqlite:///{path.with_name('other.db')}")
    await other.open()
    await other.write(metadata.drop_all)
    await other.write(metadata.create_all)
    assert migrated == await other.read(_shape)
    await other.close()


def _shape(connection: Connection) -> dict[str, object]:
    shape: dict[str, object] = {}
    for table in metadata.tables:
        for pragma in ("table_info", "index_list"):
            rows = connection.exec_driver_sql(f"PRAGMA {pragma}({table})")
            shape[f"{table} {pragma}"] = sorted(tuple(row)[1:] for row in rows)
    return shape
