"""Reconcile after a gap in the event log: at once, durable, begun again if it was cut off."""

from pathlib import Path

from proxy.events.cursor import Cursor
from proxy.telemetry.labels import RoundEnd
from tests.fills.conftest import store
from tests.replication.copying import REPOSITORY, Told, told
from tests.replication.test_reconcile import copied, pushed
from tests.support.hostile import MANIFESTS, Hold, HostileUpstream
from tests.support.waiting import wait_until

__all__ = ["store"]


def gap(replica: Told, seq: int) -> None:
    """Say that events up to here were missed."""
    replica.running.thread.run(replica.replication.journal.start_over(Cursor("epoch", seq)))


def rounds(replica: Told) -> int:
    return len(replica.running.events("reconcile.ended"))


def test_a_gap_leads_to_a_round_at_once(upstream: HostileUpstream) -> None:
    """C17: news that were missed are looked for at once, without an hour's wait."""
    pushed(upstream, "v1", "old")
    with told(upstream.url) as replica:
        copied(replica, "v1")
        new = pushed(upstream, "v1", "new")
        gap(replica, 7)
        wait_until(lambda: replica.tags == {"v1": new.digest})
        wait_until(lambda: rounds(replica) == 1)
        gap(replica, 9)
        wait_until(lambda: rounds(replica) == 2)


def test_an_answered_gap_stays_answered(upstream: HostileUpstream, store: Path) -> None:
    """A restart after the round doesn't make another one; what is proven outlives it."""
    pushed(upstream, "v1")
    with told(upstream.url, root=store) as replica:
        gap(replica, 7)
        wait_until(lambda: rounds(replica) == 1)
        proven = replica.replication.repair.reconciler.proven_at
        assert proven >= replica.replication.journal.trusted_since
    upstream.forget()
    with told(upstream.url, root=store) as replica:
        assert replica.replication.repair.reconciler.proven_at == proven
        replica.tell("v1")
        replica.wait_done()
        assert not replica.replication.repair.reconciler._is_due()
        assert not upstream.requests(path="/v2/_catalog")


def test_a_round_that_was_cut_off_begins_again(upstream: HostileUpstream, store: Path) -> None:
    """A restart in the middle of a round leads to another, which finds what the first didn't."""
    for tag in ("v1", "v2"):
        pushed(upstream, tag, f"old-{tag}")
    with told(upstream.url, root=store) as replica:
        copied(replica, "v1", "v2")
        new = {tag: pushed(upstream, tag, f"new-{tag}").digest for tag in ("v1", "v2")}
        held = upstream.inject(Hold(), method="HEAD", path=MANIFESTS, times=None)
        gap(replica, 7)
        held.wait_fired(2)
    upstream.heal()
    with told(upstream.url, root=store) as replica:
        wait_until(lambda: rounds(replica) == 1)
        replica.wait_quiet()
        assert replica.tags == new


def test_a_round_that_found_nobody_comes_again(upstream: HostileUpstream) -> None:
    """The primary isn't there when the gap is noticed: a later round answers it, not too soon."""
    pushed(upstream, "v1", "old")
    with told(upstream.url) as replica:
        copied(replica, "v1")
        new = pushed(upstream, "v1", "new")
        upstream.cut()
        gap(replica, 7)
        wait_until(lambda: rounds(replica) == 1)
        assert not replica.replication.repair.reconciler._is_due()
        upstream.restore()
        replica.advance(20)
        wait_until(lambda: rounds(replica) >= 2)
        ends = [line["end"] for line in replica.running.events("reconcile.ended")]
        assert (ends[0], ends[-1]) == ("unreachable", "complete")
        replica.wait_quiet()
        assert replica.tags == {"v1": new.digest}


def test_a_gap_during_a_round_needs_another(upstream: HostileUpstream) -> None:
    """A round answers the gap that was there when it began, and no later one."""
    pushed(upstream, "v1")
    with told(upstream.url) as replica:
        copied(replica, "v1")
        held = upstream.inject(Hold(), method="HEAD", path=MANIFESTS)
        gap(replica, 7)
        held.wait_fired()
        gap(replica, 8)
        held.release()
        wait_until(lambda: rounds(replica) == 2)
        assert not replica.replication.repair.reconciler._is_due()


def test_a_held_round_proves_nothing(upstream: HostileUpstream) -> None:
    """Deletions that wait for leave are looked at, and no proof that all is as at the primary."""
    pushed(upstream, "v1")
    with told(upstream.url) as replica:
        copied(replica, "v1")
        del upstream.contents.repositories[REPOSITORY]
        assert replica.reconcile() is RoundEnd.HELD
        assert replica.replication.repair.reconciler.proven_at == float("-inf")
