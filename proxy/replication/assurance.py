"""What a hub says of tags: the lease that every event is known, and the marks that events made."""

from dataclasses import dataclass

from proxy.oci.reference import Repository, Tag
from proxy.replication.lease import Lease
from proxy.replication.marks import Marks


@dataclass(frozen=True, slots=True)
class MarkedTags:
    """What events alone say, where nothing proves that all of them come: no tag is assured."""

    marks: Marks

    def is_live(self) -> bool:
        return False

    def covers(self, asked_at: float) -> bool:
        return self.marks.covers(asked_at)

    def is_dirty(self, repository: Repository, tag: Tag, asked_at: float) -> bool:
        return self.marks.is_dirty(repository, tag, asked_at)


@dataclass(frozen=True, slots=True)
class HubAssurance:
    """Implements `registry.assurance.Assurance`."""

    lease: Lease
    marks: Marks

    def is_live(self) -> bool:
        return self.lease.is_live()

    def covers(self, asked_at: float) -> bool:
        return self.marks.covers(asked_at)

    def is_dirty(self, repository: Repository, tag: Tag, asked_at: float) -> bool:
        return self.marks.is_dirty(repository, tag, asked_at)
