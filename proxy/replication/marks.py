"""What events told of, in memory: looked up at every pull of a tag.

A mark is the time at which an event was told of. What was asked of the primary before, or at that
very moment, doesn't count any more; what was asked for later does, so that marks needn't be taken
away. Where more is marked than is remembered, everything is marked.

What was asked for in another life of this process isn't covered by a lease: what the sidecar says
of times is by a clock of the day, which may have been set.
"""

from collections.abc import Iterable

from proxy.events.event import (
    BlobPushed,
    Event,
    ManifestDeleted,
    ManifestPushed,
    RepositoryDeleted,
    TagDeleted,
)
from proxy.oci.reference import Repository, Tag
from proxy.registry.clock import Clock
from proxy.replication.cursor import Mark

MAX_MARKS = 100_000


def mark_of(event: Event) -> Mark | None:
    """Give what an event says may have changed of tags; None: no tag.

    A deleted manifest takes with it tags that the event doesn't name.
    """
    match event:
        case ManifestPushed(repository, tag):
            return Mark(repository, tag) if tag is not None else None
        case TagDeleted(repository, tag):
            return Mark(repository, tag)
        case ManifestDeleted(repository) | RepositoryDeleted(repository):
            return Mark(repository)
        case BlobPushed():
            return None


class Marks:
    """Knows since when an answer of the primary must have been asked for to count."""

    def __init__(self, clock: Clock, max_marks: int = MAX_MARKS) -> None:
        self._clock = clock
        self._max_marks = max_marks
        self._covered_from = clock.now()
        self._all_marked_at: float | None = None
        self._tags: dict[tuple[Repository, Tag], float] = {}
        self._repositories: dict[Repository, float] = {}

    def add(self, marks: Iterable[Mark]) -> None:
        """Note that what was known so far of some tags may be wrong."""
        now = self._clock.now()
        for repository, tag in ((each.repository, each.tag) for each in marks):
            if tag is None:
                self._repositories[repository] = now
            else:
                self._tags[repository, tag] = now
        if len(self) > self._max_marks:
            self._tags.clear()
            self._repositories.clear()
            self._all_marked_at = now

    def start_over(self) -> None:
        """Note that events may have been missed so far."""
        self._covered_from = self._clock.now()

    def covers(self, asked_at: float) -> bool:
        """See `Assurance.covers`."""
        return asked_at > self._covered_from

    def is_dirty(self, repository: Repository, tag: Tag, asked_at: float) -> bool:
        """See `Assurance.is_dirty`."""
        marked_at = self._tags.get((repository, tag))
        if marked_at is not None and asked_at <= marked_at:
            return True
        marked_at = self._repositories.get(repository)
        if marked_at is not None and asked_at <= marked_at:
            return True
        marked_at = self._all_marked_at
        return marked_at is not None and asked_at <= marked_at

    def __len__(self) -> int:
        return len(self._tags) + len(self._repositories)
