"""Comparing: what of one repository is otherwise at the primary than it is here.

- A tag that is known here is asked about by a conditional HEAD; "still the same" renews the moment
  at which it was checked.
- A tag that the primary's list lacks may be gone, one that is only there is missing here: unless it
  is out of scope, or the backfill's to bring or to leave.
- A manifest that no tag here leads to is asked about by its digest, behind the tags: so many of a
  repository in one round, the next ones in the next.
- A list that isn't told to us, or can't be read, says nothing: the tags here are asked about all
  the same.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.oci.digest import Digest
from proxy.oci.errors import (
    Absent,
    BadGateway,
    Denied,
    Refused,
    RegistryError,
    StoreUnavailable,
    Unauthorized,
    Unavailable,
)
from proxy.oci.reference import Reference, Repository, Tag
from proxy.oci.request import ManifestPull
from proxy.registry.bounded import BoundedMap
from proxy.registry.clock import Clock
from proxy.registry.tagbook import TagBook, TagState
from proxy.registry.tree import Tree
from proxy.registry.usage import Usage
from proxy.replication.backfill import Backfill
from proxy.replication.catalogue import Overview, There
from proxy.replication.journal import Journal
from proxy.replication.ledger import Ledger
from proxy.replication.plan import Scope
from proxy.replication.survey import lacks_parts, manifests_in
from proxy.replication.work import Kind, Target
from proxy.telemetry.labels import Finding
from proxy.telemetry.logs import EventLog

AT_ONCE = 16
MAX_UNANSWERED = 5
REPAIR_AGAIN_SECONDS = 86_400.0
MAX_REPAIRED = 100_000
UNTAGGED_A_ROUND = 500
MAX_PLACES = 10_000


@dataclass(slots=True)
class Differences:
    """What is otherwise. *tags*, *manifests*: how many there are here; with *is_gone* the whole
    repository is gone; *unanswered* questions had no answer that can be used.
    """

    tags: int = 0
    manifests: int = 0
    found: list[tuple[Finding, Reference]] = field(default_factory=list)
    is_gone: bool = False
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known here, and what is wanted."""

    tree: Tree
    usage: Usage
    book: TagBook
    journal: Journal
    ledger: Ledger
    backfill: Backfill
    scope: Scope


class Comparing:
    """Compares one repository after the other."""

    def __init__(self, there: There, known: Known, clock: Clock, log: EventLog) -> None:
        self._there = there
        self._known = known
        self._clock = clock
        self._log = log
        self._repaired: BoundedMap[tuple[Repository, Digest], float] = BoundedMap(MAX_REPAIRED)
        self._places: BoundedMap[Repository, str] = BoundedMap(MAX_PLACES)
        self._unanswered_in_a_row = 0

    async def compare(self, repository: Repository, overview: Overview) -> Differences:
        """Find what of a repository is otherwise.

        Raises: Unavailable: the primary doesn't answer any more. StoreUnavailable.
        """
        here = await self._known.tree.all_tags(repository)
        differences = Differences(len(here))
        try:
            there: frozenset[Tag] | None = await self._there.catalogue.tags(repository)
        except Absent:
            if overview.lacks(repository):
                found = await manifests_in(self._known.tree, repository)
                differences.is_gone, differences.manifests = True, found.count
                return differences
            there = frozenset() if overview.is_open else None
        except (Unauthorized, Denied, Refused, BadGateway) as exc:
            self._log.warning("reconcile.no_list", repository=repository, error=exc.message)
            there = None
        if there is not None:
            for tag in sorted(await self._missing(repository, there, frozenset(here), overview)):
                if not await self._known.journal.has_any((Target(Kind.TAG, repository, tag),)):
                    differences.found.append((Finding.MISSING, tag))
            differences.found += [(Finding.GONE, tag) for tag in here if tag not in there]
        both = [tag for tag in here if there is None or tag in there]
        await self._check_all(repository, both, differences)
        await self._check_all(
            repository, await self._untagged(repository, differences), differences
        )
        return differences

    # --- tags that are only there -----------------------------------------------------------------

    async def _missing(
        self,
        repository: Repository,
        there: frozenset[Tag],
        here: frozenset[Tag],
        overview: Overview,
    ) -> frozenset[Tag]:
        scope, ledger = self._known.scope, self._known.ledger
        if not scope.has_repository(repository):
            return frozenset()
        if not await ledger.is_planned(repository):
            await self._plan(repository, there, overview)
            if not self._known.backfill.is_planned:
                return frozenset()
        left_alone = await ledger.left_alone(repository)
        if not_there := left_alone - there:
            await ledger.forget(repository, not_there)
        return frozenset(filter(scope.has_tag, there - here - left_alone))

    async def _plan(
        self, repository: Repository, there: frozenset[Tag], overview: Overview
    ) -> None:
        """Decide about a repository that no list had before.

        It is new, and all of it is missing here; or, where the primary lists none, new to us alone.
        """
        backfill = self._known.backfill
        if not backfill.is_planned and not backfill.is_nothing:
            return  # it is about to be
        if not backfill.is_planned or backfill.is_choosy or not overview.is_open:
            await backfill.leave(repository, there)

    # --- what is asked about ----------------------------------------------------------------------

    async def _check_all(
        self, repository: Repository, references: Sequence[Reference], differences: Differences
    ) -> None:
        for start in range(0, len(references), AT_ONCE):
            await self._check_some(repository, references[start : start + AT_ONCE], differences)

    async def _check_some(
        self, repository: Repository, references: Sequence[Reference], differences: Differences
    ) -> None:
        outcomes = await asyncio.gather(
            *(self._check(repository, each) for each in references), return_exceptions=True
        )
        for reference, outcome in zip(references, outcomes, strict=True):
            match outcome:
                case Finding():
                    differences.found.append((outcome, reference))
                case RegistryError():
                    self._note_unanswered(repository, reference, outcome)
                    differences.unanswered += 1
                case BaseException():
                    raise outcome
                case None:
                    self._unanswered_in_a_row = 0

    async def _check(self, repository: Repository, reference: Reference) -> Finding | None:
        if isinstance(reference, Digest):
            return await self._check_manifest(repository, reference)
        return await self._check_tag(repository, reference)

    def _note_unanswered(
        self, repository: Repository, reference: Reference, error: RegistryError
    ) -> None:
        """Go on where one question is in trouble, not where all are.

        Raises: Unavailable.
        """
        if isinstance(error, StoreUnavailable):
            raise error
        if isinstance(error, Unavailable):
            self._unanswered_in_a_row += 1
            if not error.is_answered or self._unanswered_in_a_row >= MAX_UNANSWERED:
                self._unanswered_in_a_row = 0
                raise error
        self._log.warning(
            "reconcile.no_answer",
            repository=repository,
            reference=str(reference),
            error=error.message,
        )

    # --- tags that are in both places -------------------------------------------------------------

    async def _check_tag(self, repository: Repository, tag: Tag) -> Finding | None:
        book, scope = self._known.book, self._known.scope
        state = await book.known(repository, tag)
        if state is None:
            return None
        pull = ManifestPull(repository, tag, self._there.caller)
        asked_at = 0.0

        async def is_other() -> bool:
            nonlocal asked_at
            asked_at = self._clock.now()
            return await self._there.fetcher.is_changed(pull, state.digest) is not None

        try:
            is_changed = await self._there.asking.ask(is_other)
        except Absent:
            return Finding.GONE
        if await self._known.journal.has_any(_targets(repository, tag, state.digest)):
            return None  # it is being looked at
        if is_changed:
            return Finding.CHANGED
        await book.apply(repository, tag, state.digest, asked_at)
        if scope.has_repository(repository) and scope.has_tag(tag):
            return await self._whole(repository, state)
        return None

    async def _whole(self, repository: Repository, state: TagState) -> Finding | None:
        """Look whether all is here; what a repair didn't bring is left for a day.

        Indexes may name what was never pushed, and images layers that are elsewhere.
        """
        key, now = (repository, state.digest), self._clock.now()
        repaired_at = self._repaired.get(key)
        if repaired_at is not None and now - repaired_at < REPAIR_AGAIN_SECONDS:
            return None
        known = self._known
        if not await lacks_parts(known.tree, repository, state.digest, known.scope.platforms):
            return None
        self._repaired.put(key, now)
        return Finding.INCOMPLETE

    # --- manifests that no tag leads to -----------------------------------------------------------

    async def _untagged(
        self, repository: Repository, differences: Differences
    ) -> Sequence[Reference]:
        """Give those whose turn it is, and count all manifests."""
        found = await manifests_in(self._known.tree, repository)
        differences.manifests = found.count
        place = bisect_right(found.untagged, self._places.get(repository) or "", key=str)
        some = found.untagged[place:][:UNTAGGED_A_ROUND]
        self._places.put(repository, str(some[-1]) if len(some) == UNTAGGED_A_ROUND else "")
        return some

    async def _check_manifest(self, repository: Repository, digest: Digest) -> Finding | None:
        pull = ManifestPull(repository, digest, self._there.caller)
        try:
            await self._there.asking.ask(lambda: self._there.fetcher.resolve(pull))
        except Absent:
            targets = (
                Target(Kind.MANIFEST, repository, digest),
                Target(Kind.REPOSITORY, repository),
            )
            is_looked_at = await self._known.journal.has_any(targets)
            return None if is_looked_at else Finding.MANIFEST_GONE
        return None


def _targets(repository: Repository, tag: Tag, digest: Digest) -> tuple[Target, ...]:
    """Give what a job may be of that looks at a tag."""
    return (
        Target(Kind.TAG, repository, tag),
        Target(Kind.MANIFEST, repository, digest),
        Target(Kind.REPOSITORY, repository),
    )
