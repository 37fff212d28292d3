"""The scrub: the whole store is read within a set time, and goes on after a restart."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from config import Duration
from proxy.oci.digest import Digest
from proxy.registry import scrub
from proxy.registry.scrub import Round, Scrub, fraction
from proxy.registry.sidecar import Sidecar
from tests.fills.in_process import InProcess, in_process
from tests.registry_store.ground import Heard, ManualClock, MemoryPrimary, opened_ground
from tests.support.store_tree import blob_path, visible_blobs, wrong_blobs
from tests.support.waiting import wait_until
from tests.verbs.conftest import REPOSITORY
from tests.verbs.stores import flip, layer_of, put_bytes

WITHIN = {"scrub_within": Duration(0.5)}


def rounds(replica: InProcess) -> float:
    return replica.metrics().value("proxima_scrub_rounds_total")


def test_a_round_reads_all_and_finds_rot(warm, images, life, upstream):
    """C21: within the set time every content is hashed; what rotted is set aside and told of in
    log and metric, and the next pull brings it again.
    """
    life.close()
    flip(blob_path(warm.store, layer_of(images.single)))
    contents = len(visible_blobs(warm.store))
    with in_process(upstream.url, root=warm.store, store=WITHIN) as replica:
        wait_until(lambda: rounds(replica) >= 1, what="a round")
        ended = replica.events("scrub.ended")[0]
        assert (ended["contents"], ended["damaged"]) == (contents, 1)
        assert wrong_blobs(warm.store) == set()
        assert len(replica.events("store.quarantined")) == 1
        assert replica.metrics().value("proxima_scrubbed_bytes_total") >= ended["bytes"] > 0
        path = f"/v2/{REPOSITORY}/blobs/{layer_of(images.single)}"
        assert replica.client.get(path).expect(200).body == images.single.blobs[-1].data
        wait_until(lambda: rounds(replica) >= 3, what="two more rounds")
        assert replica.events("scrub.ended")[-1]["damaged"] == 0


def test_an_end_is_noted(warm, life, upstream):
    """What a round has read is in the sidecar when the replica ends."""
    life.close()
    slow = {"scrub_within": Duration(3600.0)}
    with in_process(upstream.url, root=warm.store, store=slow):
        pass
    note = noted(warm.store)
    assert time.time() - 60 < note.started_at <= time.time()


def noted(root: Path) -> Round:
    with closing(sqlite3.connect(root / "proxima.sqlite")) as connection:
        (text,) = connection.execute("SELECT value FROM fact WHERE name = 'scrub'").fetchone()
    return Round(**json.loads(text))


# --- its pace, by hand ----------------------------------------------------------------------------


@pytest.fixture
async def ground(tmp_path):
    heard = Heard()
    async with opened_ground(tmp_path / "store", MemoryPrimary(), heard) as ground:
        yield ground
    heard.close()


@pytest.fixture
async def sidecar(ground):
    sidecar = Sidecar(ground.tree.layout.sidecar)
    await sidecar.open()
    yield sidecar
    await sidecar.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sleeps(monkeypatch, clock) -> list[float]:
    """The seconds that are slept, which pass at once on the clock."""
    slept: list[float] = []
    real = scrub.asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.pass_(seconds)
        if len(slept) > 10_000:
            raise AssertionError("it goes on and on")
        await real(0)

    monkeypatch.setattr(scrub.asyncio, "sleep", sleep)
    return slept


def contents(root: Path, count: int = 64) -> list[Digest]:
    """Put contents into a tree; give them in the order of the walk."""
    found = [Digest.parse(put_bytes(root, f"content {number}".encode())) for number in range(count)]
    return sorted(found, key=str)


class Ended(Exception):
    """A round has ended."""


def watched(ground, sidecar, clock) -> tuple[Scrub, list[tuple[Digest, float]]]:
    """Give a scrub that ends after a round, and what it looked at when."""
    looked: list[tuple[Digest, float]] = []
    found = Scrub(ground.store, sidecar, clock, ground.heard.telemetry)
    look_at, end_round = found._look_at, found._end_round

    async def look(file):
        looked.append((file.digest, clock.now()))
        await look_at(file)

    def end(seconds: float) -> None:
        end_round(seconds)
        raise Ended

    found._look_at, found._end_round = look, end  # type: ignore[method-assign]
    return found, looked


async def test_contents_are_read_when_they_are_due(ground, sidecar, clock, sleeps):
    """A round is spread over its time: each content is read at its place in it, none too late."""
    wanted = contents(ground.tree.layout.root)
    scrubbing, looked = watched(ground, sidecar, clock)
    began_at = clock.now()
    with pytest.raises(Ended):
        await scrubbing.run(1000.0)
    assert [digest for digest, _ in looked] == wanted
    for digest, at in looked:
        due = began_at + 900.0 * fraction(str(digest))
        assert due <= at < due + 1.0


async def test_it_can_be_turned_off(ground, sidecar, clock, sleeps):
    """A time of 0 reads nothing, and ends."""
    contents(ground.tree.layout.root, 3)
    scrubbing, looked = watched(ground, sidecar, clock)
    await scrubbing.run(0.0)
    assert (looked, sleeps) == ([], [])


async def test_a_round_goes_on_where_it_was(ground, sidecar, clock, sleeps):
    """After a restart nothing is read twice in a round, and it ends when it would have ended."""
    wanted = contents(ground.tree.layout.root)
    half = wanted[len(wanted) // 2]
    note = Round(clock.wall() - 400.0, str(half), contents=33)
    sidecar.put_fact(scrub.FACT, json.dumps({**vars_of(note)}))
    scrubbing, looked = watched(ground, sidecar, clock)
    began_at = clock.now()
    with pytest.raises(Ended):
        await scrubbing.run(1000.0)
    assert [digest for digest, _ in looked] == wanted[len(wanted) // 2 + 1 :]
    assert clock.now() - began_at < 600.0
    (ended,) = ground.heard.events("scrub.ended")
    assert ended["contents"] == len(wanted)


def vars_of(note: Round) -> dict[str, object]:
    return {name: getattr(note, name) for name in Round.__slots__}


@pytest.mark.parametrize("text", ["", "null", "[]", '{"started_at": 1, "after": "x"}', '{"a": 1}'])
async def test_a_note_that_cannot_be_read_begins_anew(ground, sidecar, clock, sleeps, text):
    """F17: what the sidecar says wrongly costs a round, nothing else."""
    wanted = contents(ground.tree.layout.root, 5)
    sidecar.put_fact(scrub.FACT, text)
    scrubbing, looked = watched(ground, sidecar, clock)
    with pytest.raises(Ended):
        await scrubbing.run(10.0)
    assert [digest for digest, _ in looked] == wanted


async def test_it_pauses_while_the_loop_is_busy(ground, sidecar, clock, sleeps):
    """The scrub yields to clients, yet not for ever: a round ends all the same."""
    contents(ground.tree.layout.root, 4)
    scrubbing, _ = watched(ground, sidecar, clock)
    scrubbing.is_busy = lambda: True
    with pytest.raises(Ended):
        await scrubbing.run(10.0)
    assert sleeps.count(scrub.BUSY_SECONDS) == 4 * scrub.MAX_BUSY_PAUSES


async def test_it_reads_no_faster_than_it_may(ground, sidecar, clock, sleeps):
    """A large content is read in steps with pauses between them."""
    size = 3 * (1 << 20)
    put_bytes(ground.tree.layout.root, bytes(size))
    scrubbing, _ = watched(ground, sidecar, clock)
    with pytest.raises(Ended):
        await scrubbing.run(0.001)
    pauses = [each for each in sleeps if each == (1 << 20) / scrub.MAX_BYTES_PER_SECOND]
    assert len(pauses) == 3
