"""A replica in this process that is told what was pushed, and asked what it made of that."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from config import Backfill, Duration, ReplicationSource
from proxy.app.replication import Replication
from proxy.oci.reference import Repository, parse_reference
from proxy.replication.history import Entry, Wanted
from proxy.replication.work import Job, Kind, Target, Trigger
from proxy.telemetry.labels import Finding, RoundEnd
from tests.fills.in_process import InProcess, in_process
from tests.support import store_tree
from tests.support.waiting import wait_until

REPOSITORY = "shop/api"


@dataclass(frozen=True, slots=True)
class Told:
    """A replica that replicates what it is told of."""

    running: InProcess

    @property
    def replication(self) -> Replication:
        found = self.running.replica.replication
        assert found is not None
        return found

    def tell(
        self,
        reference: str | None,
        repository: str = REPOSITORY,
        *,
        kind: Kind = Kind.TAG,
        trigger: Trigger = Trigger.EVENT,
        is_deletion: bool = False,
    ) -> None:
        """Say that something changed."""
        named = None if reference is None else parse_reference(reference)
        target = Target(kind, Repository.parse(repository), named)
        job = Job(target, trigger, self.running.clock.wall(), is_deletion)
        self.running.thread.run(self.replication.journal.take([job]))

    def reconcile(self) -> RoundEnd:
        """Compare everything with the primary, once."""
        return self.running.thread.run(self.replication.repair.reconciler.round())

    def clock(self) -> float:
        """Give the time by the replica's clock."""
        return self.running.clock.now()

    def advance(self, seconds: float) -> None:
        """Put the clock forward, and let what is due then begin."""
        self.running.clock.advance(seconds)
        self.running.thread.run(self._wake())

    async def _wake(self) -> None:
        self.replication.journal.has_news.set()

    @property
    def findings(self) -> dict[Finding, int]:
        """How many differences were found so far, by kind."""
        shown = self.running.metrics()
        name = "proxima_reconcile_findings_total"
        counts = {kind: int(shown.value(name, kind=kind)) for kind in Finding}
        return {kind: count for kind, count in counts.items() if count}

    @property
    def tags(self) -> dict[str, str]:
        """What the tags of the repository name here."""
        return store_tree.tags(self.running.store, REPOSITORY)

    def wait_quiet(self, timeout_seconds: float = 10.0) -> None:
        """Wait until nothing is left to be done."""
        wait_until(lambda: not self.backlog, timeout_seconds, "no job is left")

    def entries(self, **wanted: Any) -> list[Entry]:
        """Give the entries of the replication log, the oldest first."""
        found, _ = self.running.thread.run(self.replication.history.entries(Wanted(**wanted)))
        return found[::-1]

    def wait_done(self, count: int = 1, timeout_seconds: float = 10.0) -> list[Entry]:
        """Wait until so many pieces of work have ended, and give them."""

        def ended() -> list[Entry]:
            return [entry for entry in self.entries() if entry.end is not None]

        wait_until(lambda: len(ended()) >= count, timeout_seconds, f"{count} entries")
        return ended()

    @property
    def backlog(self) -> dict[Trigger, int]:
        """How many jobs are left, by trigger."""
        found = self.running.thread.run(self.replication.journal.backlog())
        return {trigger: count for trigger, (count, _) in found.items()}


@contextmanager
def told(primary_url: str, **sections: Any) -> Iterator[Told]:
    """Run such a replica for the length of the block.

    It looks at nothing by itself, unless the section `replication` says so.
    """
    replication = {
        "source": ReplicationSource.NOTIFICATIONS,
        "backfill": Backfill.NONE,
        "reconcile_every": Duration(0.0),
        "reconcile_rate": 1000,
        **sections.pop("replication", {}),
    }
    with in_process(primary_url, replication=replication, **sections) as running:
        yield Told(running)
