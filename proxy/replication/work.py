"""Work: what is to be made here as it is at the primary, why, and since when."""

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from proxy.oci.digest import Digest
from proxy.oci.reference import Reference, Repository


class Kind(StrEnum):
    """What a target is."""

    TAG = "tag"
    MANIFEST = "manifest"
    BLOB = "blob"
    REPOSITORY = "repository"


class Trigger(StrEnum):
    """Why something is brought."""

    EVENT = "event"
    PULL = "pull"
    REPLAY = "replay"
    RECONCILE = "reconcile"
    BACKFILL = "backfill"


class Priority(IntEnum):
    """Who goes first; a waiting client goes before all of them, by a flight of its own."""

    NEWS = 0
    REPAIR = 1
    BACKFILL = 2


_PRIORITIES = {
    Trigger.EVENT: Priority.NEWS,
    Trigger.PULL: Priority.NEWS,
    Trigger.REPLAY: Priority.NEWS,
    Trigger.RECONCILE: Priority.REPAIR,
    Trigger.BACKFILL: Priority.BACKFILL,
}


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be as it is at the primary; a repository has no reference."""

    kind: Kind
    repository: Repository
    reference: Reference | None = None

    def __str__(self) -> str:
        match self.reference:
            case None:
                return self.repository
            case Digest() as digest:
                return f"{self.repository}@{digest}"
            case tag:
                return f"{self.repository}:{tag}"


@dataclass(frozen=True, slots=True)
class Job:
    """A target, and why it is looked at.

    event_at: wall-clock seconds at which the primary, or whoever asks, said so.
    is_deletion: it was said to be gone, so that one confirmed 404 is enough.
    made: counts up; a job that was made anew while it ran is not done when it ends.
    """

    target: Target
    trigger: Trigger
    event_at: float
    is_deletion: bool = False
    attempts: int = 0
    first_at: float = 0.0
    made: int = 0

    @property
    def priority(self) -> Priority:
        """Say when it comes."""
        return _PRIORITIES[self.trigger]

    def _leaves_deletion(self, older: "Job") -> bool:
        """Say whether what was said to be gone still is: only news of a push say otherwise.

        A manifest that is pushed again is found at the primary, whatever is believed before.
        """
        is_news = self.trigger is Trigger.EVENT and self.target.kind is not Kind.MANIFEST
        return older.is_deletion and not is_news

    def superseding(self, older: "Job") -> "Job":
        """Give what is left to do where *older* had the same target and wasn't done.

        The lag counts from the first news; what is urgent stays so. Attempts begin anew.
        """
        first = older if older.priority <= self.priority else self
        event_at = min(older.event_at, self.event_at) if self.priority == older.priority else None
        return replace(
            self,
            trigger=first.trigger,
            event_at=first.event_at if event_at is None else event_at,
            is_deletion=self.is_deletion or self._leaves_deletion(older),
        )


def renewed(job: Job, trigger: Trigger) -> Job:
    """Give a job that is to be done anew, for another reason."""
    return Job(job.target, trigger, job.event_at, job.is_deletion)
