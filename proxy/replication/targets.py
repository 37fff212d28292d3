"""Targets: each is made here as it is at the primary, be that copied, kept or removed.

Rules:
- A tag comes last: it is set when all that it names is here, unless something newer was set.
- Gone is what the primary says so of in the spec's words, to an identity that it lets in, twice
  with some seconds between, or once where it was said to be deleted; a whole repository never by
  one answer. Whatever else a 404 may be, it removes nothing.
- A backfill brings nothing to a store that is full: it would push out what it just brought.
- Out of scope nothing is copied; what is known here is looked at all the same.
"""

from dataclasses import dataclass

from proxy.oci.digest import Digest
from proxy.oci.errors import Absent, Denied, Unavailable
from proxy.oci.reference import Repository, Tag
from proxy.oci.request import Action, BlobDelete, BlobPull, ManifestDelete, ManifestPull, TagList
from proxy.oci.span import RangeRequest
from proxy.registry.bounded import BoundedMap
from proxy.registry.callers import RightKey
from proxy.registry.clock import Clock
from proxy.registry.decisions import Decisions
from proxy.registry.layout import LinkKind
from proxy.registry.orders import Order
from proxy.registry.primary import Primary
from proxy.registry.purge import Purger
from proxy.registry.tag_checks import TagChecks
from proxy.registry.tagbook import CONFIRM_AFTER_SECONDS, TagBook
from proxy.registry.writes import Writes
from proxy.replication.copying import Copied, Copy, Means, NotStorable
from proxy.replication.plan import Scope
from proxy.replication.referring import Referring
from proxy.replication.work import Job, Kind, Trigger

MAX_MISSING = 10_000

_LEAVES_EVICTED = frozenset({Trigger.RECONCILE, Trigger.BACKFILL})
_BRINGS_REFERRERS = frozenset({Trigger.RECONCILE, Trigger.BACKFILL, Trigger.PULL})


@dataclass(frozen=True, slots=True)
class Removed:
    """It is gone at the primary, and here; or it wasn't here."""


@dataclass(frozen=True, slots=True)
class Untouched:
    """Nothing was to be done, and why."""

    reason: str


Outcome = Copied | Removed | Untouched


class NotYet(Exception):
    """It has to be looked at once more, so many seconds later."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Here:
    """What is changed here besides contents."""

    checks: TagChecks
    book: TagBook
    writes: Writes
    purger: Purger
    rights: Decisions[RightKey]


class Targets:
    """Settles targets, one call for each."""

    def __init__(
        self,
        means: Means,
        here: Here,
        primary: Primary,
        scope: Scope,
        clock: Clock,
        referring: Referring,
    ) -> None:
        self._means = means
        self._here = here
        self._book = here.book
        self._primary = primary
        self._scope = scope
        self._clock = clock
        self._referring = referring
        self._missing: BoundedMap[tuple[Repository, Digest], float] = BoundedMap(MAX_MISSING)
        """Manifests that are linked here, and when the primary first said that they are gone."""

    async def settle(self, job: Job) -> Outcome:
        """Make a target here as it is at the primary.

        Raises: NotYet. Unauthorized, Denied: we may not. Unavailable, BadGateway, ContentMismatch.
        """
        if job.trigger is Trigger.BACKFILL and self._means.store.room.is_full:
            return Untouched("the store is full")
        repository, reference = job.target.repository, job.target.reference
        if repository in self._scope.excluded:
            return Untouched("nothing of it is ever copied")
        await self._means.fill.forget_negatives()
        try:
            match job.target.kind, reference:
                case Kind.TAG, Tag() as tag:
                    return await self._tag(job, repository, tag)
                case Kind.MANIFEST, Digest() as digest:
                    return await self._manifest(job, repository, digest)
                case Kind.BLOB, Digest() as digest:
                    return await self._blob(job, repository, digest)
                case Kind.REPOSITORY, _:
                    return await self._repository(job, repository)
                case _:
                    raise ValueError(f"{job.target.kind} can't be named {reference}")
        except NotStorable as exc:
            return Untouched(str(exc))

    def _copy(self, job: Job) -> Copy:
        return Copy(
            self._means,
            job.target.repository,
            self._scope.platforms,
            returns_evicted=job.trigger not in _LEAVES_EVICTED,
        )

    # --- tags -------------------------------------------------------------------------------------

    async def _tag(self, job: Job, repository: Repository, tag: Tag) -> Outcome:
        pull = ManifestPull(repository, tag, self._means.caller)
        if not self._scope.wants(repository, tag):
            return await self._renewed(job, pull, tag)
        asked_at = self._clock.now()
        try:
            fetched = await self._means.fetcher.manifest(pull)
        except Absent as exc:
            return await self._tag_gone(job, repository, tag, exc, asked_at)
        copy = self._copy(job)
        copied = await copy.of(fetched)
        digest = fetched.manifest.descriptor.digest
        if not await self._book.keep(repository, tag, digest, asked_at):
            raise NotYet(0, "the tag changed meanwhile")
        return await self._with_referrers(job, copy, copied)

    async def _with_referrers(self, job: Job, copy: Copy, copied: Copied) -> Copied:
        """Bring what refers to an artifact, too, where no event of its own does."""
        if job.trigger not in _BRINGS_REFERRERS:
            return copied
        await self._referring.follow(job.target.repository, copy, copied.manifests)
        return copy.so_far(copied)

    async def _renewed(self, job: Job, pull: ManifestPull, tag: Tag) -> Outcome:
        """Look at a tag that isn't copied, if it is known here."""
        if await self._book.known(pull.repository, tag) is None:
            return Untouched("it is not replicated here")
        asked_at = self._clock.now()
        try:
            await self._here.checks.check(pull, tag)
        except Absent as exc:
            return await self._tag_gone(job, pull.repository, tag, exc, asked_at)
        return Untouched("it is not replicated here; its tag is up to date")

    async def _tag_gone(
        self, job: Job, repository: Repository, tag: Tag, error: Absent, asked_at: float
    ) -> Outcome:
        _require_confirmed(error)
        state = await self._book.known(repository, tag)
        if state is None:
            return Removed()
        if state.asked_at > asked_at:
            raise NotYet(0, "the tag changed meanwhile")
        await self._require_let_in(job)
        if not job.is_deletion:
            await self._book.note_missing(repository, tag, state)
            if self._book.remembered(repository, tag) is not None:
                raise NotYet(CONFIRM_AFTER_SECONDS + 1, "the primary has no such tag")
        await self._here.writes.remove(ManifestDelete(repository, tag))
        return Removed()

    async def _require_let_in(self, job: Job) -> None:
        """Return if the primary lets us read the repository: a 404 may hide what is forbidden.

        Where it was said to be deleted what the primary decided lately is enough; some registries
        know a repository no more when the last of it is gone.

        Raises: Denied: it shows us none of that name, and never let us in. Unavailable.
        """
        repository, rights = job.target.repository, self._here.rights
        right = (self._means.caller, repository, Action.PULL)
        if job.is_deletion and rights.is_granted(right):
            return
        try:
            answer = await self._primary.listing(TagList(repository, caller=self._means.caller))
        except Absent as exc:
            if job.is_deletion and exc.is_confirmed and rights.has_been_granted(right):
                return
            raise Denied("the primary shows us no such repository") from exc
        await answer.drop()

    # --- what is named by digest ------------------------------------------------------------------

    async def _manifest(self, job: Job, repository: Repository, digest: Digest) -> Outcome:
        pull = ManifestPull(repository, digest, self._means.caller)
        try:
            fetched = await self._means.fetcher.manifest(pull)
        except Absent as exc:
            if not job.is_deletion and not await self._is_linked(repository, digest):
                return Untouched("the primary has no such manifest")
            await self._require_gone(job, repository, digest, exc)
            await self._here.writes.remove(ManifestDelete(repository, digest))
            await self._blob_gone(repository, digest)
            return Removed()
        self._missing.drop((repository, digest))
        copy = self._copy(job)
        return await self._with_referrers(job, copy, await copy.of(fetched))

    async def _is_linked(self, repository: Repository, digest: Digest) -> bool:
        return await self._means.store.tree.has_link(repository, LinkKind.MANIFEST, digest)

    async def _require_gone(
        self, job: Job, repository: Repository, digest: Digest, error: Absent
    ) -> None:
        """Return if a manifest that is absent at the primary has to go here.

        Raises: Denied, Unavailable: it may be there. NotYet: one answer is too few.
        """
        _require_confirmed(error)
        await self._require_let_in(job)
        if job.is_deletion:
            return
        now = self._clock.now()
        since = self._missing.get((repository, digest))
        if since is None:
            self._missing.put((repository, digest), since := now)
        if now - since < CONFIRM_AFTER_SECONDS:
            raise NotYet(CONFIRM_AFTER_SECONDS + 1, "the primary has no such manifest")
        self._missing.drop((repository, digest))

    async def _blob(self, job: Job, repository: Repository, digest: Digest) -> Outcome:
        return await self._copy(job).blob(digest)

    async def _blob_gone(self, repository: Repository, digest: Digest) -> None:
        """Unlink a blob that was deleted: some registries tell of it as of a manifest."""
        if not await self._means.store.tree.has_link(repository, LinkKind.LAYER, digest):
            return
        pull = BlobPull(repository, digest, self._means.caller)
        try:
            stream = await self._means.fetcher.open(pull, RangeRequest(0, 0))
        except Absent as exc:
            if exc.is_confirmed:
                await self._here.writes.remove(BlobDelete(repository, digest))
        else:
            await stream.aclose()

    async def _repository(self, job: Job, repository: Repository) -> Outcome:
        try:
            answer = await self._primary.listing(TagList(repository, caller=self._means.caller))
        except Absent as exc:
            _require_confirmed(exc)
            age = self._clock.wall() - job.first_at
            if age < CONFIRM_AFTER_SECONDS:
                raise NotYet(CONFIRM_AFTER_SECONDS - age, "it may have gone just now") from exc
            async for _ in self._here.purger.run(Order((repository,))):
                pass
            return Removed()
        await answer.drop()
        return Untouched("the primary has the repository")


def _require_confirmed(error: Absent) -> None:
    """Return if a 404 is a registry's own.

    Raises: Unavailable.
    """
    if not error.is_confirmed:
        raise Unavailable("the primary's 404 is none of a registry") from error
