"""A replica in this process that is told what was pushed, and asked what it made of that."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from config import ReplicationSource
from proxy.app.replication import Replication
from proxy.oci.reference import Repository, parse_reference
from proxy.replication.history import Entry, Wanted
from proxy.replication.work import Job, Kind, Target, Trigger
from tests.fills.in_process import InProcess, in_process
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

    def entries(self, **wanted: Any) -> list[Entry]:
        """Give the entries of the replication log, the oldest first."""
        found = self.running.thread.run(self.replication.history.entries(Wanted(**wanted)))
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
    """Run such a replica for the length of the block."""
    replication = {"source": ReplicationSource.NOTIFICATIONS, **sections.pop("replication", {})}
    with in_process(primary_url, replication=replication, **sections) as running:
        yield Told(running)
