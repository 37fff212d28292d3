"""The journal: what was taken is done, once it is done and not before, whatever happens between."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.events.cursor import Cursor
from proxy.oci.digest import Digest
from proxy.oci.errors import StoreUnavailable
from proxy.oci.reference import Repository, Tag
from proxy.registry.sidecar import Sidecar
from proxy.replication.cursor import Mark
from proxy.replication.journal import Journal
from proxy.replication.work import Job, Kind, Target, Trigger
from tests.registry_store.ground import ManualClock

REPOSITORY = Repository("shop/api")
V1, V2 = Tag("v1"), Tag("v2")
DIGEST = Digest.of(b"a manifest")
PLACE = Cursor("epoch", 7)


def plan(_event: object, _at: float) -> list[Job]:
    """Make no jobs of news: these tests say themselves which there are."""
    return []


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Sidecar]:
    sidecar = Sidecar(tmp_path / "sidecar.db")
    await sidecar.open()
    yield sidecar
    await sidecar.close()


@pytest.fixture
async def journal(sidecar: Sidecar, clock: ManualClock) -> Journal:
    journal = Journal(sidecar, clock, plan)
    await journal.open()
    return journal


def job(tag: Tag = V1, trigger: Trigger = Trigger.EVENT, at: float = 1.0) -> Job:
    return Job(Target(Kind.TAG, REPOSITORY, tag), trigger, at)


async def test_jobs_and_cursor_outlive_the_process(
    journal: Journal, sidecar: Sidecar, clock: ManualClock
) -> None:
    """F22: what was taken, its place in the log and its marks are there after a restart, and a
    job that was being done is handed out again.
    """
    await journal.take([job(V1), job(V2)], PLACE)
    assert len(await journal.hand_out(1)) == 1
    again = Journal(sidecar, clock, plan)
    await again.open()
    assert await again.cursor() == PLACE
    assert set(await again.marks()) == {Mark(REPOSITORY, V1), Mark(REPOSITORY, V2)}
    assert {each.target.reference for each in await again.hand_out(9)} == {V1, V2}


async def test_what_is_done_is_forgotten(journal: Journal) -> None:
    """A job that is done is handed out no more and leaves no mark."""
    await journal.take([job()])
    (taken,) = await journal.hand_out(9)
    assert await journal.hand_out(9) == []
    assert await journal.done(taken)
    assert await journal.hand_out(9) == []
    assert await journal.marks() == []


async def test_news_while_it_runs_make_it_run_again(journal: Journal) -> None:
    """What comes for a target while it is worked on isn't covered by that work."""
    await journal.take([job(at=1.0)])
    (first,) = await journal.hand_out(9)
    await journal.take([job(at=5.0)])
    assert await journal.hand_out(9) == [], "one target is worked on once at a time"
    assert not await journal.done(first)
    assert await journal.marks() == [Mark(REPOSITORY, V1)]
    (second,) = await journal.hand_out(9)
    assert second.made > first.made
    assert await journal.done(second)


async def test_newer_news_supersede_older(journal: Journal) -> None:
    """One target is one job: the lag counts from the first news, and what is urgent stays so."""
    await journal.take([job(at=1.0)])
    await journal.take([job(at=5.0), job(trigger=Trigger.BACKFILL, at=9.0)])
    (only,) = await journal.hand_out(9)
    assert (only.trigger, only.event_at) == (Trigger.EVENT, 1.0)


async def test_the_urgent_go_first(journal: Journal) -> None:
    """An event goes before a repair, a repair before a backfill, whatever came first."""
    triggers = [Trigger.BACKFILL, Trigger.RECONCILE, Trigger.EVENT]
    for number, trigger in enumerate(triggers):
        await journal.take([job(Tag(f"v{number}"), trigger)])
    handed = [(await journal.hand_out(1))[0].trigger for _ in triggers]
    assert handed == triggers[::-1]


async def test_a_job_put_off_comes_when_it_is_due(journal: Journal, clock: ManualClock) -> None:
    """A job that failed comes again after its time, with its attempts counted, still marked."""
    await journal.take([job()])
    (first,) = await journal.hand_out(9)
    await journal.put_off(first, 30, "the primary is away")
    assert await journal.hand_out(9) == []
    assert await journal.next_due_in() == pytest.approx(30)
    assert await journal.marks() == [Mark(REPOSITORY, V1)]
    clock.pass_(31)
    (second,) = await journal.hand_out(9)
    assert second.attempts == 1


async def test_a_restart_ends_a_waiting_time(
    journal: Journal, sidecar: Sidecar, clock: ManualClock
) -> None:
    """What waits for another try, as after a stop in its middle, is tried at once by the next life;
    what was given up stays so.
    """
    await journal.take([job(V1), job(V2)])
    first, second = await journal.hand_out(9)
    await journal.put_off(first, 900, "it was stopped")
    await journal.put_off(second, 0, "it never works", is_dead=True)
    again = Journal(sidecar, clock, plan)
    await again.open()
    assert [each.target for each in await again.hand_out(9)] == [first.target]


async def test_news_end_a_waiting_time(journal: Journal) -> None:
    """News of a target that was put off are looked at now."""
    await journal.take([job()])
    (first,) = await journal.hand_out(9)
    await journal.put_off(first, 3600, "it failed")
    await journal.take([job(at=9.0)])
    (second,) = await journal.hand_out(9)
    assert second.attempts == 0


async def test_the_dead_are_listed_and_can_live_again(journal: Journal) -> None:
    """A job that was given up is listed with its reason, handed out no more, and is revived by a
    replay; its tag stays marked, since what is here of it may be old.
    """
    await journal.take([job()])
    (first,) = await journal.hand_out(9)
    await journal.put_off(first, 0, "no such manifest type", is_dead=True)
    ((dead, reason),) = await journal.dead(9)
    assert (dead.target, reason) == (first.target, "no such manifest type")
    assert await journal.hand_out(9) == []
    assert await journal.marks() == [Mark(REPOSITORY, V1)]
    await journal.take([job(trigger=Trigger.REPLAY)])
    assert await journal.dead(9) == []
    assert len(await journal.hand_out(9)) == 1


@pytest.mark.parametrize(
    ("kind", "reference", "marked"),
    [
        (Kind.TAG, V1, [Mark(REPOSITORY, V1)]),
        (Kind.MANIFEST, DIGEST, [Mark(REPOSITORY)]),
        (Kind.REPOSITORY, None, [Mark(REPOSITORY)]),
        (Kind.BLOB, DIGEST, []),
    ],
)
async def test_what_is_marked_until_it_is_done(
    journal: Journal, kind: Kind, reference: Tag | Digest | None, marked: list[Mark]
) -> None:
    """News of a tag mark it; those of a manifest or a repository mark every tag of it."""
    await journal.take([Job(Target(kind, REPOSITORY, reference), Trigger.EVENT, 1.0)])
    assert await journal.marks() == marked


async def test_nothing_is_taken_by_a_sidecar_that_fails(
    journal: Journal, sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C24: where the sidecar can't be written the cursor stays, so that the news come again."""

    async def refuse(_batch: object) -> bool:
        return False

    with monkeypatch.context() as patched:
        patched.setattr(sidecar, "transact", refuse)
        with pytest.raises(StoreUnavailable):
            await journal.take([job()], PLACE)
    assert await journal.cursor() is None
    assert await journal.hand_out(9) == []


async def test_a_place_that_cant_be_read_is_no_gap(
    journal: Journal, sidecar: Sidecar, tmp_path: Path
) -> None:
    """C24, F16: a locked sidecar says nothing about the place: to take it for none would start over
    and have all tags compared.
    """
    await journal.take([], PLACE)
    with closing(sqlite3.connect(tmp_path / "sidecar.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable):
            await journal.cursor()


async def test_a_place_that_makes_no_sense_is_none(journal: Journal, sidecar: Sidecar) -> None:
    """What isn't a place in a log, whoever wrote it, leads to a reconcile, not to an end."""
    await journal.take([], PLACE)
    sidecar.put_fact("replication.cursor", "nonsense")
    assert await journal.cursor() is None


async def test_a_gap_is_remembered(journal: Journal, sidecar: Sidecar, clock: ManualClock) -> None:
    """From a start over on, only what is checked later counts as followed; a restart knows."""
    assert journal.trusted_since == float("inf")
    clock.pass_(50)
    await journal.start_over(PLACE)
    again = Journal(sidecar, clock, plan)
    await again.open()
    assert again.trusted_since == journal.trusted_since == clock.wall()
    assert await again.cursor() == PLACE


async def test_a_deletion_outlives_what_is_said_for_other_reasons(journal: Journal) -> None:
    """A manifest that was said to be deleted is still to be removed if a client's pull of it makes
    the job anew; a tag that was pushed again is not.
    """
    manifest, tag = Target(Kind.MANIFEST, REPOSITORY, DIGEST), Target(Kind.TAG, REPOSITORY, V1)
    await journal.take(
        [Job(each, Trigger.EVENT, 1.0, is_deletion=True) for each in (manifest, tag)]
    )
    await journal.take([Job(manifest, Trigger.PULL, 2.0), Job(tag, Trigger.EVENT, 2.0)])
    found = {job.target: job.is_deletion for job in await journal.hand_out(9)}
    assert found == {manifest: True, tag: False}


async def test_who_had_a_job_before_takes_it_from_nobody(journal: Journal) -> None:
    """What is given back late isn't taken away from who has it now."""
    await journal.take([job()])
    (first,) = await journal.hand_out(9)
    journal.give_back(first)
    await journal.take([job(at=5.0)])
    (second,) = await journal.hand_out(9)
    journal.give_back(first)
    assert journal.running == 1
    assert await journal.hand_out(9) == []
    journal.give_back(second)
    assert journal.running == 0


async def test_a_running_job_with_news_leaves_nothing_due(journal: Journal) -> None:
    """While a target is worked on, news of it wake nobody up."""
    await journal.take([job(trigger=Trigger.BACKFILL)])
    await journal.hand_out(9)
    await journal.take([job(at=5.0)])
    assert await journal.next_due_in() is None


async def test_very_many_jobs_are_taken_in_portions(journal: Journal) -> None:
    """What a comparison finds at once is all there, however much it is."""
    jobs = [job(Tag(f"v{number}"), Trigger.RECONCILE) for number in range(2500)]
    await journal.take(jobs)
    assert (await journal.backlog())[Trigger.RECONCILE][0] == len(jobs)
