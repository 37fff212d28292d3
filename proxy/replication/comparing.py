"""Comparing: what of one repository is otherwise at the primary than it is here.

- A tag that is known here is asked about by a conditional HEAD; "still the same" renews the moment
  at which it was checked.
- A tag that the primary's list lacks may be gone, one that is only there is missing here: unless it
  is out of scope, or the backfill's to bring or to leave.
- A list that isn't told to us, or can't be read, says nothing: the tags here are asked about all
  the same.
"""

import asyncio
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
from proxy.oci.reference import Repository, Tag
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
from proxy.replication.survey import lacks_parts
from proxy.replication.work import Kind, Target
from proxy.telemetry.labels import Finding
from proxy.telemetry.logs import EventLog

AT_ONCE = 16
MAX_UNANSWERED = 5
REPAIR_AGAIN_SECONDS = 86_400.0
MAX_REPAIRED = 100_000


@dataclass(slots=True)
class Differences:
    """What is otherwise. *tags*: how many there are here; with *is_gone* the whole repository is
    gone; *unanswered* tags had no answer that can be used.
    """

    tags: int = 0
    found: list[tuple[Finding, Tag]] = field(default_factory=list)
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
                differences.is_gone = True
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
        for start in range(0, len(both), AT_ONCE):
            await self._check_all(repository, both[start : start + AT_ONCE], differences)
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

    # --- tags that are in both places -------------------------------------------------------------

    async def _check_all(
        self, repository: Repository, tags: Sequence[Tag], differences: Differences
    ) -> None:
        outcomes = await asyncio.gather(
            *(self._check(repository, tag) for tag in tags), return_exceptions=True
        )
        for tag, outcome in zip(tags, outcomes, strict=True):
            match outcome:
                case Finding():
                    differences.found.append((outcome, tag))
                case RegistryError():
                    self._note_unanswered(repository, tag, outcome)
                    differences.unanswered += 1
                case BaseException():
                    raise outcome
                case None:
                    self._unanswered_in_a_row = 0

    def _note_unanswered(self, repository: Repository, tag: Tag, error: RegistryError) -> None:
        """Go on where one tag is in trouble, not where all are.

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
            "reconcile.no_answer", repository=repository, tag=tag, error=error.message
        )

    async def _check(self, repository: Repository, tag: Tag) -> Finding | None:
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


def _targets(repository: Repository, tag: Tag, digest: Digest) -> tuple[Target, ...]:
    """Give what a job may be of that looks at a tag."""
    return (
        Target(Kind.TAG, repository, tag),
        Target(Kind.MANIFEST, repository, digest),
        Target(Kind.REPOSITORY, repository),
    )
