"""What the sidecar keeps is bounded, and a file of an earlier version is brought forward."""

import sqlite3
from contextlib import closing

import pytest

from proxy.oci.digest import Digest
from proxy.oci.reference import Tag
from proxy.registry import schema, sidecar
from proxy.registry.sidecar import AnswerRow, TagRow
from tests.registry_store.ground import A, names_in
from tests.registry_store.sidecars import ANSWER, ROW, TAG, reopened


@pytest.fixture
def bounds(monkeypatch):
    """Small bounds, looked at often."""
    monkeypatch.setattr(sidecar, "MAX_TAGS", 5)
    monkeypatch.setattr(sidecar, "MAX_ANSWERS", 4)
    monkeypatch.setattr(sidecar, "MAX_ANSWER_BYTES", 1000)
    monkeypatch.setattr(sidecar, "TRIM_EVERY_WRITES", 20)


async def test_tags_least_recently_checked_go_first(path, bounds):
    """Beyond the bound the rows of tags that were checked longest ago are forgotten."""
    opened = await reopened(path)
    for number in range(20):
        checked_at = float((number * 7) % 20)  # 20 different times in another order
        opened.put_tag(A, Tag(f"v{number}"), TagRow(Digest.of(b"x"), checked_at))
    await opened.flush()
    kept = [n for n in range(20) if await opened.tag(A, Tag(f"v{n}")) is not None]
    assert sorted((number * 7) % 20 for number in kept) == [15, 16, 17, 18, 19]
    await opened.close()


@pytest.mark.parametrize(("size", "kept"), [(10, 4), (400, 2), (5000, 0)])
async def test_listings_are_bounded_in_number_and_bytes(path, bounds, size, kept):
    """Listings go by number and by bytes, least recently checked first."""
    opened = await reopened(path)
    for number in range(20):
        opened.put_answer("tags", A, f"{number}", AnswerRow("{}", bytes(size), float(number)))
    await opened.flush()
    left = [n for n in range(20) if await opened.answer("tags", A, f"{n}") is not None]
    assert left == list(range(20 - kept, 20))
    await opened.close()


async def test_an_older_file_is_brought_forward(path):
    """F27: a file of the first version keeps its rows and gains what is new, once."""
    with closing(sqlite3.connect(path)) as old:
        old.executescript(f"{schema.STEPS[0]} PRAGMA user_version = 1;")
        old.execute(
            "INSERT INTO tag VALUES (?, ?, ?, ?)", (A, TAG, str(ROW.digest), ROW.checked_at)
        )
        answer = ("tags", A, "", ANSWER.headers, ANSWER.body, ANSWER.checked_at)
        old.execute("INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?)", answer)
        old.commit()
    for _ in range(2):
        opened = await reopened(path)
        assert await opened.tag(A, TAG) == ROW
        assert await opened.answer("tags", A, "") == ANSWER
        assert await opened.all("SELECT count(*) FROM content") == [(0,)]
        assert opened.failures == 0
        await opened.close()
    with closing(sqlite3.connect(path)) as now:
        assert now.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    assert [name for name in names_in(path.parent) if "damaged" in name] == []
