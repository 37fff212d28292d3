"""What a replica is told of tags, where a test says whether the lease is live."""

from dataclasses import dataclass, field

from proxy.oci.reference import Repository, Tag
from proxy.registry.clock import Clock
from proxy.replication.cursor import Mark
from proxy.replication.marks import Marks


@dataclass(slots=True)
class Told:
    """The marks that a replica goes by, under a lease that lasts while the test wants it to."""

    clock: Clock
    is_leased: bool = True
    marks: Marks = field(init=False)

    def __post_init__(self) -> None:
        self.marks = Marks(self.clock)

    def tell(self, repository: str, tag: str | None = None) -> None:
        """Let an event have told of a tag, or of a whole repository."""
        self.marks.add([Mark(Repository(repository), Tag(tag) if tag is not None else None)])

    def is_live(self) -> bool:
        return self.is_leased

    def covers(self, asked_at: float) -> bool:
        return self.marks.covers(asked_at)

    def is_dirty(self, repository: Repository, tag: Tag, asked_at: float) -> bool:
        return self.marks.is_dirty(repository, tag, asked_at)
