"""Workers: what fails comes again, news don't wait, and a restart goes on."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from proxy.replication import workers
from proxy.replication.history import Entry
from proxy.replication.journal import Journal
from proxy.replication.work import Trigger
from proxy.telemetry.labels import CopyEnd
from tests.conftest import Opened
from tests.fills.calls import blob_path
from tests.replication.copying import REPOSITORY, Told, told
from tests.support.hostile import Hold, HostileUpstream, Status
from tests.support.images import oci_image
from tests.support.store_tree import tags
from tests.support.waiting import wait_until

TAG = "v1"


@pytest.fixture(autouse=True)
def fixed_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what fails come again after ten seconds of the clock, which a test puts forward."""
    monkeypatch.setattr(workers, "_retry_seconds", lambda *_: 10.0)


def pass_time(replica: Told, seconds: float) -> None:
    """Put the clock forward, and let the workers look at it."""
    replica.running.clock.advance(seconds)
    replica.running.thread.run(_woken(replica))


async def _woken(replica: Told) -> None:
    replica.replication.journal.has_news.set()


def ended(replica: Told, attempts: int) -> Entry:
    """Wait until the only job has been tried so often, and give its entry."""

    def found() -> list[Entry]:
        return [each for each in replica.wait_done() if each.attempts == attempts]

    wait_until(found, what=f"{attempts} attempts")
    (entry,) = found()
    return entry


def test_what_fails_comes_again(upstream: HostileUpstream) -> None:
    """F22: a copy that the primary breaks off is made again after a while, and completes; nothing
    is fetched twice for it.
    """
    image = upstream.contents.add(REPOSITORY, oci_image("again"), TAG)
    path = blob_path(REPOSITORY, image.blobs[-1].digest)
    fault = upstream.inject(Status(500), path=path, times=1)
    with told(upstream.url) as replica:
        replica.tell(TAG)
        (failed,) = replica.wait_done()
        assert fault.fired == 1
        assert (failed.end, failed.attempts) == (CopyEnd.FAILED, 1)
        assert tags(replica.running.store, REPOSITORY) == {}
        pass_time(replica, 11)
        done = ended(replica, attempts=2)
        assert (done.end, done.id) == (CopyEnd.COMPLETE, failed.id)
    served = [seen.path for seen in upstream.seen if "/blobs/" in seen.path and seen.status == 200]
    assert len(served) == len(set(served))


def test_what_stays_refused_is_given_up(upstream: HostileUpstream) -> None:
    """A copy that is refused for longer than `give_up` is dead, told of as such, and kept."""
    upstream.contents.add(REPOSITORY, oci_image("refused"), TAG)
    upstream.inject(Status(403), path=r"/v2/.*/manifests/.*", times=None)
    with told(upstream.url, replication={"give_up": 3600.0}) as replica:
        replica.tell(TAG)
        replica.wait_done()
        pass_time(replica, 3601)
        assert ended(replica, attempts=2).end is CopyEnd.DEAD
        assert replica.backlog == {}
        found = replica.running.thread.run(replica.replication.journal.dead(9))
        assert [str(job.target) for job, _ in found] == [f"{REPOSITORY}:{TAG}"]


def test_an_outage_gives_nothing_up(upstream: HostileUpstream) -> None:
    """C22: however long the primary is away, the copy is made when it is back."""
    upstream.contents.add(REPOSITORY, oci_image("outage"), TAG)
    with told(upstream.url, replication={"give_up": 3600.0}) as replica:
        upstream.cut()
        replica.tell(TAG)
        replica.wait_done()
        pass_time(replica, 7200)
        assert ended(replica, attempts=2).end is CopyEnd.FAILED
        upstream.restore()
        pass_time(replica, 60)  # the breaker's time, too
        assert ended(replica, attempts=3).end is CopyEnd.COMPLETE


def test_news_pass_a_backfill(upstream: HostileUpstream) -> None:
    """With every place that a backfill may have taken by it, an event is done at once."""
    image = upstream.contents.add(REPOSITORY, oci_image("old"), "old-0")
    for number in range(12):
        upstream.contents.repository(REPOSITORY).tags[f"old-{number}"] = image.digest
    upstream.contents.add(REPOSITORY, oci_image("new"), "new")
    old = r"/v2/.*/manifests/old-.*"
    with told(upstream.url, replication={"concurrent": 4}) as replica:
        held = upstream.inject(Hold(), path=old, times=None)
        for number in range(12):
            replica.tell(f"old-{number}", trigger=Trigger.BACKFILL)
        held.wait_fired(2)
        replica.tell("new")
        (entry,) = replica.wait_done()
        assert (entry.reference, entry.end) == ("new", CopyEnd.COMPLETE)
        assert held.fired == 2
        held.release()
        replica.wait_done(13)


def test_a_restart_goes_on(upstream: HostileUpstream, opened: Opened) -> None:
    """F22: a copy in whose middle the replica was ended is made by the next one, which fetches
    only what is missing.
    """
    image = upstream.contents.add(REPOSITORY, oci_image("restart"), TAG)
    *others, last = (blob_path(REPOSITORY, each.digest) for each in image.blobs)
    root = Path(opened(tempfile.TemporaryDirectory(prefix="restart-"))) / "store"
    held = upstream.inject(Hold(), path=last)
    with told(upstream.url, root=root) as replica:
        replica.tell(TAG)
        held.wait_fired()
        wait_until(lambda: all(_is_sent(upstream, path) for path in others), what="others")
    held.release()
    upstream.heal()
    before = len(upstream.seen)
    with told(upstream.url, root=root) as replica:
        wait_until(lambda: tags(root, REPOSITORY) == {TAG: image.digest}, what="the tag")
        asked = {seen.path for seen in upstream.seen[before:]}
        assert last in asked
        assert not asked & set(others)


def _is_sent(upstream: HostileUpstream, path: str) -> bool:
    return any(seen.path == path and seen.sent_bytes for seen in upstream.seen)


def test_news_that_have_to_wait_cost_nothing(
    upstream: HostileUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While all places are taken, news wait without the journal being read again and again."""
    asked: list[object] = []
    real = Journal.next_due_in

    async def counted(journal: Journal, *given: Any) -> float | None:
        asked.append(given)
        return await real(journal, *given)

    monkeypatch.setattr(Journal, "next_due_in", counted)
    for tag in ("v1", "v2"):
        upstream.contents.add(REPOSITORY, oci_image(tag), tag)
    held = upstream.inject(Hold(), path=rf"/v2/{REPOSITORY}/manifests/v1")
    with told(upstream.url, replication={"concurrent": 1}) as replica:
        replica.tell("v1")
        held.wait_fired()
        replica.tell("v2")
        before = len(asked)
        for _ in range(50):  # each takes a turn of the sidecar's thread, as a reading would
            assert sum(replica.backlog.values()) == 2
        assert len(asked) - before <= 3
        upstream.heal()
        replica.wait_quiet()
        assert set(replica.tags) == {"v1", "v2"}


def test_a_fault_of_ours_is_tried_again_as_any_other(
    upstream: HostileUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that meets what nobody thought of comes again after its time, counted, and told of."""
    upstream.contents.add(REPOSITORY, oci_image("fault"), TAG)
    with told(upstream.url) as replica:
        with monkeypatch.context() as patched:

            async def crash(*_: object) -> None:
                raise KeyError("\ud83d")

            patched.setattr(replica.replication.workers._targets, "settle", crash)
            replica.tell(TAG)
            (failed,) = replica.wait_done()
        assert (failed.end, failed.attempts) == (CopyEnd.FAILED, 1)
        assert len(replica.running.events("replication.crashed")) == 1
        pass_time(replica, 11)
        assert ended(replica, attempts=2).end is CopyEnd.COMPLETE
