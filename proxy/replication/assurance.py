"""What news say of tags: the marks that events made, and whether no event can be missing."""

from collections.abc import Callable
from dataclasses import dataclass

from proxy.oci.reference import Repository, Tag
from proxy.replication.marks import Marks


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class MarkedTags:
    """Implements `registry.assurance.Assurance`. *is_live*: a lease proves that every event is
    known; without one no tag is assured.
    """

    marks: Marks
    is_live: Callable[[], bool] = _never

    def covers(self, asked_at: float) -> bool:
        return self.marks.covers(asked_at)

    def is_dirty(self, repository: Repository, tag: Tag, asked_at: float) -> bool:
        return self.marks.is_dirty(repository, tag, asked_at)
