"""The sidecar: rows outlive a restart, writes leave in order, and there is one connection."""

import ast
import asyncio
import sqlite3
from pathlib import Path

from proxy.oci.digest import Digest
from proxy.oci.reference import Tag
from proxy.registry import sqlite_file
from proxy.registry.sidecar import TagRow
from tests.registry_store.ground import A, B, open_files
from tests.registry_store.sidecars import ANSWER, ROW, TAG, reopened, what_is_kept
from tests.support.waiting import eventually

PROXY = Path(sqlite_file.__file__).parents[1]


# --- rows -----------------------------------------------------------------------------------------


async def test_rows_outlive_a_restart(path, sidecar):
    """What was put is found again by the next start, byte for byte."""
    sidecar.put_tag(A, TAG, ROW)
    sidecar.put_answer("tags", A, "n=1", ANSWER)
    sidecar.put_fact("challenge", "Basic ü")
    await sidecar.flush()
    again = await reopened(path)
    assert await again.tag(A, TAG) == ROW
    assert await again.answer("tags", A, "n=1") == ANSWER
    assert await again.fact("challenge") == "Basic ü"
    assert await again.tag(B, TAG) is None
    assert await again.answer("referrers", A, "n=1") is None
    assert await again.fact("other") is None
    await again.close()


async def test_closing_writes_what_is_queued(path):
    """Nothing that was put before the end is lost."""
    sidecar = await reopened(path)
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.close()
    assert await what_is_kept(path) == ROW


async def test_writes_leave_by_themselves(path, sidecar):
    """Without anybody waiting a row is on disk shortly after."""
    sidecar.put_tag(A, TAG, ROW)
    with sqlite3.connect(path) as reader:
        await eventually(lambda: reader.execute("SELECT count(*) FROM tag").fetchone() == (1,))
    reader.close()


PUT = "INSERT INTO fact VALUES (?, ?)"


def statements_of(sidecar):
    """Collect the statements that SQLite is given from now on."""
    found: list[str] = []
    sidecar._file._connection.set_trace_callback(found.append)
    return found


async def test_batches_that_come_together_share_their_commits(sidecar):
    """Fifty batches at once, and what is queued beside them, cost two commits at most."""
    told = statements_of(sidecar)
    sidecar.put_tag(A, TAG, ROW)
    writes = [sidecar.transact([(PUT, (f"{number}", "x"))]) for number in range(50)]
    assert await asyncio.gather(*writes) == [True] * 50
    assert await sidecar.all("SELECT count(*) FROM fact") == [(50,)]
    assert await sidecar.tag(A, TAG) == ROW
    assert 1 <= told.count("COMMIT") <= 2


async def test_a_batch_at_fault_is_its_own_matter(sidecar):
    """Of batches that share a transaction one that can't be written leaves nothing, and the others
    and what is queued are written.
    """
    sidecar.queue(PUT, "queued", "x")
    good, bad = (PUT, ("good", "x")), [(PUT, ("bad", "x")), (PUT, ("bad", "y"))]
    last = (PUT, ("last", "x"))
    outcomes = await asyncio.gather(*map(sidecar.transact, ([good], bad, [last])))
    assert outcomes == [True, False, True]
    rows = await sidecar.all("SELECT name FROM fact ORDER BY name")
    assert rows == [("good",), ("last",), ("queued",)]


async def test_a_batch_whose_caller_has_gone_is_written(sidecar):
    """A caller that is cancelled takes nothing back that is on its way to the disk."""
    task = asyncio.create_task(sidecar.transact([(PUT, ("name", "x"))]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert await sidecar.fact("name") == "x"


async def test_writes_leave_in_order_and_together(sidecar, monkeypatch):
    """Later writes win, and a burst is one commit."""
    batches, real = [], sidecar._file.commit
    monkeypatch.setattr(sidecar._file, "commit", lambda batch: batches.append(batch) or real(batch))
    for number in range(500):
        sidecar.put_tag(A, TAG, TagRow(Digest.of(bytes(number)), 0.0))
        if number % 7 == 0:
            sidecar.drop_tag(A, TAG)
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.flush()
    assert await sidecar.tag(A, TAG) == ROW
    assert len(batches) == 1


async def test_answers_are_dropped_by_the_beginning_of_their_key(sidecar):
    """A push to one subject ends its answers, literally: no character is a wildcard."""
    for key in ("sha256:ab", "sha256:ab?x=1", "sha256:cd", "sha256%", "SHA256:ab"):
        sidecar.put_answer("referrers", A, key, ANSWER)
    sidecar.put_answer("referrers", B, "sha256:ab", ANSWER)
    sidecar.drop_answers("referrers", A, "sha256:ab")
    sidecar.drop_answers("referrers", A, "sha256_")
    await sidecar.flush()
    left = [
        key
        for key in ("sha256:ab", "sha256:ab?x=1", "sha256:cd", "sha256%", "SHA256:ab")
        if await sidecar.answer("referrers", A, key)
    ]
    assert left == ["sha256:cd", "sha256%", "SHA256:ab"]
    assert await sidecar.answer("referrers", B, "sha256:ab") is not None


async def test_a_write_that_can_never_be_made_stops_no_other(sidecar):
    """Text that SQLite can't take costs its batch, not all that comes after it."""
    sidecar.put_answer("tags", A, "\ud800", ANSWER)
    await sidecar.flush()
    assert sidecar.failures > 0
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.flush()
    assert await sidecar.tag(A, TAG) == ROW


# --- one connection -------------------------------------------------------------------------------


async def test_there_is_one_connection(path, sidecar, monkeypatch):
    """C24: however many ask at once, one descriptor and one thread are all there is."""
    for number in range(50):
        sidecar.put_tag(A, Tag(f"t{number}"), ROW)
    await asyncio.gather(*(sidecar.tag(A, Tag(f"t{number}")) for number in range(50)))
    await sidecar.flush()
    assert open_files(path.parent).count(str(path)) == 1
    assert sidecar._thread._max_workers == 1


def test_one_place_connects():
    """C24: `sqlite3.connect` is called in one place of the program."""
    calls = [
        file.name
        for file in PROXY.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sqlite3.connect"
    ]
    assert calls == ["sqlite_file.py"]


async def test_the_journal_is_no_wal(path, sidecar):
    """C24: with the system's SQLite a WAL of two connections can be corrupted: there is none."""
    sidecar.put_tag(A, TAG, ROW)
    await sidecar.flush()
    (mode,) = sidecar._file._connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = sidecar._file._connection.execute("PRAGMA synchronous").fetchone()
    assert (mode, synchronous) == ("truncate", 2)
    assert not path.with_name(path.name + "-wal").exists()
