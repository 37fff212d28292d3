"""The plan: which jobs an event makes. A job brings what the primary says when it is done."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from proxy.events.event import (
    BlobPushed,
    Event,
    ManifestDeleted,
    ManifestPushed,
    RepositoryDeleted,
    TagDeleted,
)
from proxy.oci.platform import Platform
from proxy.oci.reference import Reference, Repository, Tag
from proxy.replication.told import Told
from proxy.replication.work import Job, Kind, Target, Trigger

_REFERRER = re.compile(r"sha(?:256|512)-[0-9a-f]{64,128}(?:\.[a-z]+)?")
"""The fallback tag of the referrers API, and cosign's tags after its pattern."""


@dataclass(slots=True)
class Scope:
    """What is replicated here: repositories, tags in them, platforms of images (none: all).

    Out of scope nothing is brought, but what a pull brought is kept up with; of what is excluded
    nothing is looked at but by pulls.
    All who go by it share it: what it becomes counts from the next job on.
    """

    has_repository: Callable[[Repository], bool]
    has_tag: Callable[[Tag], bool]
    platforms: Sequence[Platform] = ()
    own_excluded: frozenset[Repository] = frozenset()
    told: Told = field(default_factory=Told)

    @property
    def excluded(self) -> frozenset[Repository]:
        """The repositories of which nothing is copied: by the settings, or by the hub's word."""
        return self.own_excluded | self.told.excluded

    def wants(self, repository: Repository, tag: Tag) -> bool:
        """Say whether a tag is copied; what is signed comes with its signature's tag."""
        is_wanted = self.has_tag(tag) or _REFERRER.fullmatch(tag) is not None
        return is_wanted and self.has_repository(repository)

    def become(self, other: "Scope") -> None:
        """Take over what the settings say of another one; what the hub said stays."""
        self.has_repository, self.has_tag = other.has_repository, other.has_tag
        self.platforms, self.own_excluded = other.platforms, other.own_excluded


def jobs_of(
    event: Event, at: float, *, scope: Scope, trigger: Trigger = Trigger.EVENT
) -> list[Job]:
    """Give the jobs that an event makes; *at* is when it was said, in wall-clock seconds.

    Tags and deletions are looked at in or out of scope: what they are about may have come here by
    a pull.
    """

    def job(kind: Kind, reference: Reference | None, *, is_deletion: bool = False) -> Job:
        return Job(Target(kind, event.repository, reference), trigger, at, is_deletion)

    if event.repository in scope.excluded:
        return []
    match event:
        case ManifestPushed(tag=Tag() as tag):
            return [job(Kind.TAG, tag)]
        case ManifestPushed(digest=digest):
            is_wanted = digest is not None and scope.has_repository(event.repository)
            return [job(Kind.MANIFEST, digest)] if is_wanted else []
        case BlobPushed(digest=digest):
            is_wanted = not scope.platforms and scope.has_repository(event.repository)
            return [job(Kind.BLOB, digest)] if is_wanted else []
        case ManifestDeleted(digest=digest, tag=tag):
            tags = [job(Kind.TAG, tag, is_deletion=True)] if tag is not None else []
            return [job(Kind.MANIFEST, digest, is_deletion=True), *tags]
        case TagDeleted(tag=tag):
            return [job(Kind.TAG, tag, is_deletion=True)]
        case RepositoryDeleted():
            return [job(Kind.REPOSITORY, None, is_deletion=True)]
        case _:
            assert_never(event)
