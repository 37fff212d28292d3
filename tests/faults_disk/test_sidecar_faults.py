"""C24, F16, F17: a replica whose sidecar is locked by another, damaged, lost or too new."""

import os
import sqlite3
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from proxy.registry import schema
from tests.faults_disk.scene import REPOSITORY, blob_path, manifest_path
from tests.support.hostile import BLOBS
from tests.support.images import oci_image
from tests.support.processes import Process, Program
from tests.support.waiting import wait_until

HELD_SECONDS = 2.5
LONGEST_SECONDS = 1.0
HOLDER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
open(sys.argv[2], "w").close()
time.sleep(60)
"""


@pytest.fixture
def sidecar(warm) -> Path:
    return warm.replica.store / "proxima.sqlite"


@contextmanager
def locked(sidecar: Path, folder: Path):
    """Let another process lock the sidecar for the length of the block."""
    mark = folder / "locked"
    argv = (sys.executable, "-c", HOLDER, str(sidecar), str(mark))
    holder = Process(Program(argv, folder / "holder.log"))
    try:
        wait_until(mark.exists, what="the sidecar is locked")
        yield
        assert holder.is_running
    finally:
        holder.kill()


def test_a_locked_sidecar_is_invisible_to_hits(warm, sidecar, tmp_path):
    """C24, F16: while another process holds the lock, hits, tag checks and tags never seen are
    answered, none of them later than a second.
    """
    for number in range(30):
        warm.upstream.contents.add(REPOSITORY, oci_image(f"new-{number}"), f"new-{number}")
    waits, number = [], 0
    with locked(sidecar, tmp_path):
        until = time.monotonic() + HELD_SECONDS
        while time.monotonic() < until or number < 10:
            for path in (
                manifest_path("1.0"),
                manifest_path(f"new-{number % 30}"),
                manifest_path(warm.image.digest),
                blob_path(warm.small),
                blob_path(warm.large),
            ):
                began = time.monotonic()
                warm.client.get(path).expect(200)
                waits.append(time.monotonic() - began)
            number += 1
        assert warm.metric("sidecar_failures") > 0
    assert max(waits) < LONGEST_SECONDS
    with closing(sqlite3.connect(sidecar)) as rows:
        query = "SELECT count(*) FROM tag WHERE tag LIKE 'new-%'"
        wait_until(lambda: rows.execute(query).fetchone()[0] == min(number, 30), 20, "rows came")


def test_one_descriptor_is_all_there_is(warm, sidecar):
    """C24: the running replica has the sidecar open once."""
    opened: list[Path] = []
    for entry in Path(f"/proc/{warm.replica.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            opened.append(entry.readlink())
    assert opened.count(sidecar) == 1


def with_garbage(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def test_a_lost_sidecar_grants_nothing_and_costs_nothing_kept(warm, sidecar):
    """C24, F17: truncated, garbage, deleted: moved aside and begun anew; what is kept is served
    without fetching it, and no repository gains a blob by it.
    """
    warm.upstream.contents.add(REPOSITORY.replace("app", "other"), oci_image("other"), "1.0")
    fetched = warm.upstream.count("GET", BLOBS)
    damages = (with_garbage, Path.unlink, lambda path: os.truncate(path, 5000))
    for damage in damages:
        warm.replica.stop()
        damage(sidecar)
        warm.replica.start()
        assert warm.client.get(blob_path(warm.large, "other")).status == 404
        assert warm.client.get(blob_path(warm.small, "other")).status == 404
        assert warm.client.get(manifest_path(warm.image.digest, "other")).status == 404
        warm.check_hits()
    asked = [each for each in warm.upstream.requests("GET", BLOBS) if "/other/" not in each.path]
    assert len(asked) == fetched
    assert len(list(warm.replica.store.glob("proxima.damaged-*"))) == 2


def test_a_newer_schema_refuses_the_start_in_words(warm, sidecar):
    """C24, F27: a store that a newer version wrote isn't opened, and the message says why."""
    warm.replica.stop()
    with closing(sqlite3.connect(sidecar)) as newer:
        newer.execute("PRAGMA user_version = 99")
    process = warm.replica.launch()
    assert process.wait() == 1
    told = f"{sidecar} has schema 99; this version reads {schema.VERSION}"
    assert told in warm.replica.log_tail()
    with closing(sqlite3.connect(sidecar)) as repaired:
        repaired.execute(f"PRAGMA user_version = {schema.VERSION}")
    warm.replica.start()
    warm.check_hits()
