"""Tags: how fresh an answer by tag is, and what happens when the primary can't be asked.

Rules:
- Checks of one tag are serialised.
- Unreachable, 5xx, 429 and answers that can't be used: the last known digest, marked stale, up to
  `stale_limit` after its last check. Where the primary named a time to come again (Retry-After), it
  isn't asked about known tags for that caller before.
- 401, 403, 404, 412, 451: that is the answer to this client. A tag is removed here only by a
  confirmed 404 (in the spec's words, on a GET), twice at least five seconds apart.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from proxy.oci.caller import Caller
from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import (
    Absent,
    BadGateway,
    Denied,
    ManifestUnknown,
    RegistryError,
    Unauthorized,
    Unavailable,
)
from proxy.oci.manifest import SCHEMA1_TYPES
from proxy.oci.reference import Repository, Tag
from proxy.oci.request import ManifestPull, Pull
from proxy.oci.span import RangeRequest
from proxy.registry.bounded import BoundedMap
from proxy.registry.clock import Clock
from proxy.registry.fetcher import Fetcher
from proxy.registry.fill import CacheFill
from proxy.registry.primary import Fetched
from proxy.registry.puller import Bytes, Content, Resolution
from proxy.registry.single_flight import SingleFlight
from proxy.registry.store import bytes_content, part_of
from proxy.registry.tagbook import TagBook, TagState
from proxy.telemetry.labels import Origin
from proxy.telemetry.logs import EventLog

MAX_QUIET_SECONDS = 300
MAX_QUIET_CALLERS = 10_000


class Freshness(StrEnum):
    """When the primary is asked about a tag that is known here."""

    EVENT = "event"
    """When an event says so; without a lease as TTL."""
    TTL = "ttl"
    """When the last check is older than `ttl`."""
    ALWAYS = "always"
    """On every pull."""
    NEVER = "never"
    """Never: such tags don't move."""


@dataclass(slots=True)
class TagRules:
    """The policy by repository and tag; `ttl` and `stale_limit` in seconds.

    All who go by the rules share them: what they become counts from the next answer on.
    """

    policy: Callable[[Repository, Tag], Freshness]
    ttl: float
    stale_limit: float

    def become(self, other: "TagRules") -> None:
        """Take over other rules."""
        self.policy, self.ttl, self.stale_limit = other.policy, other.ttl, other.stale_limit


@dataclass(frozen=True, slots=True)
class _Quiet:
    """The primary wants to be left alone *until*, as it said with *error*."""

    until: float
    error: Unavailable


@dataclass(frozen=True, slots=True)
class Pinned:
    """A tag brought to a digest, or to a manifest that isn't kept here."""

    pull: ManifestPull
    stale_seconds: float | None = None
    passing: Fetched | None = None


class FreshTags:
    """Pins tags to digests, as fresh as the rules ask; digests pass through."""

    def __init__(
        self,
        inner: CacheFill,
        book: TagBook,
        fetcher: Fetcher,
        rules: TagRules,
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._inner = inner
        self._book = book
        self._fetcher = fetcher
        self._rules = rules
        self._clock = clock
        self._log = log
        self._quiet: BoundedMap[Caller, _Quiet] = BoundedMap(MAX_QUIET_CALLERS)
        self._checks: SingleFlight[tuple[Repository, Tag], Fetched | None] = SingleFlight()

    # --- the contract -----------------------------------------------------------------------------

    async def resolve(self, pull: Pull) -> Resolution:
        """Give what *pull* leads to; see `Puller.resolve`."""
        if not isinstance(pull, ManifestPull) or isinstance(pull.reference, Digest):
            return await self._inner.resolve(pull)
        pinned = await self._pin(pull, pull.reference)
        if pinned.passing is not None:
            return Resolution(pinned.passing.manifest.descriptor, Origin.PRIMARY)
        return _marked(await self._inner.resolve(pinned.pull), pinned)

    async def open(self, pull: Pull, part: RangeRequest | None = None) -> Content:
        """Give the content of *pull*; see `Puller.open`."""
        if not isinstance(pull, ManifestPull) or isinstance(pull.reference, Digest):
            return await self._inner.open(pull, part)
        pinned = await self._pin(pull, pull.reference)
        if pinned.passing is not None:
            manifest = pinned.passing.manifest
            content = bytes_content(manifest.descriptor, manifest.data, Origin.PRIMARY)
            return part_of(content, part)
        found = await self._inner.open(pinned.pull, part)
        found.resolution = _marked(found.resolution, pinned)
        return found

    def at_hand(self, pull: Pull) -> Bytes | None:
        """Give what is in memory, a tag's manifest while the tag is fresh; see `ReadyPuller`."""
        if not isinstance(pull, ManifestPull) or isinstance(pull.reference, Digest):
            return self._inner.at_hand(pull)
        repository, tag = pull.repository, pull.reference
        state = self._book.remembered(repository, tag)
        if state is None or not self._is_fresh(state, self._rules.policy(repository, tag)):
            return None
        return self._inner.at_hand(ManifestPull(repository, state.digest, pull.caller))

    # --- pinning ----------------------------------------------------------------------------------

    async def _pin(self, pull: ManifestPull, tag: Tag) -> Pinned:
        """Bring a tag to a digest, asking the primary where the rules say so.

        Raises: Absent, Unauthorized, Denied, Refused: the primary's answer to this caller.
        Unavailable: nobody can be asked and nothing is known, or for too long.
        """
        state = await self._book.known(pull.repository, tag)
        freshness = self._rules.policy(pull.repository, tag)
        if state is not None and self._is_fresh(state, freshness):
            return _pinned(pull, state)
        quiet = self._quiet.get(pull.caller)
        if state is not None and quiet is not None and self._clock.now() < quiet.until:
            return self._stale(pull, tag, state, quiet.error)
        try:
            return await self._asked(pull, tag, freshness)
        except (Unavailable, BadGateway) as exc:
            self._note_quiet(pull.caller, exc)
            return self._stale(pull, tag, state, exc)

    async def _asked(self, pull: ManifestPull, tag: Tag, freshness: Freshness) -> Pinned:
        """Pin a tag by what the primary says; once more if it was dropped here meanwhile."""
        for _ in range(2):
            fetched = await self._check(pull, tag, is_strict=freshness is Freshness.ALWAYS)
            if fetched is not None and not fetched.is_storable:
                return Pinned(pull, passing=fetched)
            state = self._book.remembered(pull.repository, tag)
            if state is not None:
                return _pinned(pull, state)
        raise ManifestUnknown

    def _note_quiet(self, caller: Caller, error: RegistryError) -> None:
        if isinstance(error, Unavailable) and error.is_time_named:
            seconds = min(error.retry_after_seconds, MAX_QUIET_SECONDS)
            self._quiet.put(caller, _Quiet(self._clock.now() + seconds, error))

    def _is_fresh(self, state: TagState, freshness: Freshness) -> bool:
        if freshness is Freshness.NEVER:
            return True
        if freshness is Freshness.ALWAYS or state.missing_since is not None:
            return False
        return self._book.age(state) < self._rules.ttl

    def _stale(
        self, pull: ManifestPull, tag: Tag, state: TagState | None, error: RegistryError
    ) -> Pinned:
        if state is None or self._book.age(state) > self._rules.stale_limit:
            raise error
        age = self._book.age(state)
        self._log.warning(
            "tag.stale",
            repository=pull.repository,
            tag=tag,
            digest=str(state.digest),
            seconds=round(age, 1),
            error=error.message,
        )
        return Pinned(replace(pull, reference=state.digest), stale_seconds=age)

    def outlook(self, repository: Repository, tag: Tag) -> tuple[Freshness, bool]:
        """Give a tag's policy, and whether a pull now would be answered without asking."""
        freshness = self._rules.policy(repository, tag)
        state = self._book.remembered(repository, tag)
        return freshness, state is not None and self._is_fresh(state, freshness)

    async def renew(self, pull: ManifestPull, tag: Tag) -> None:
        """Ask the primary about a tag, whatever is known of it.

        Raises: as `Puller.resolve`; nothing is answered from what is stale.
        """
        await self._check(pull, tag, is_strict=True)

    # --- checking ---------------------------------------------------------------------------------

    async def _check(self, pull: ManifestPull, tag: Tag, *, is_strict: bool) -> Fetched | None:
        """Ask the primary, together with whoever asks at the same time.

        With *is_strict* an answer whose request had already started doesn't count.
        """
        key = (pull.repository, tag)
        if self._checks.is_running(key):
            try:
                found = await self._checks.run(key, lambda: self._ask(pull, tag))
            except (Unauthorized, Denied):
                return await self._ask(pull, tag)  # the other caller's refusal isn't ours
            if not is_strict:
                return found
        return await self._checks.run(key, lambda: self._ask(pull, tag))

    async def _ask(self, pull: ManifestPull, tag: Tag) -> Fetched | None:
        state = await self._book.known(pull.repository, tag)
        asked_at = self._clock.now()
        if state is None:
            return await self._fetch(pull, tag, asked_at)
        try:
            changed = await self._fetcher.is_changed(pull, state.digest)
        except Absent:
            return await self._ask_by_get(pull, tag, state, asked_at)
        if changed is not None and not await self._is_brought(pull, changed.descriptor):
            return await self._ask_by_get(pull, tag, state, asked_at)
        digest = state.digest if changed is None else changed.descriptor.digest
        await self._book.apply(pull.repository, tag, digest, asked_at)
        return None

    async def _is_brought(self, pull: ManifestPull, descriptor: Descriptor) -> bool:
        """Bring what a tag names now; say no if it is not to be kept, or not there by digest."""
        if descriptor.media_type in SCHEMA1_TYPES:
            return False
        try:
            await self._inner.resolve(replace(pull, reference=descriptor.digest))
        except Absent:
            return False
        return True

    async def _fetch(self, pull: ManifestPull, tag: Tag, asked_at: float) -> Fetched:
        """Fetch by tag: one round trip gives digest and bytes.

        What can't be kept is passed on; what the tag named before is older, and forgotten.
        """
        fetched = await self._fetcher.manifest(pull)
        is_kept = fetched.is_storable and await self._inner.keep_manifest(pull.repository, fetched)
        if not is_kept:
            state = self._book.remembered(pull.repository, tag)
            if state is not None and state.asked_at <= asked_at:
                await self._book.drop(pull.repository, tag)
            return replace(fetched, is_storable=False)
        digest = fetched.manifest.descriptor.digest
        await self._book.apply(pull.repository, tag, digest, asked_at)
        return fetched

    async def _ask_by_get(
        self, pull: ManifestPull, tag: Tag, state: TagState, asked_at: float
    ) -> Fetched:
        """A HEAD wasn't enough: a GET gives the manifest, or says that it is the registry that has
        none.
        """
        try:
            return await self._fetch(pull, tag, asked_at)
        except Absent as exc:
            if not exc.is_confirmed:
                raise Unavailable("the primary's 404 is none of a registry") from exc
            await self._book.note_missing(pull.repository, tag, state)
            raise

    async def close(self) -> None:
        """End the running checks."""
        await self._checks.close()


def _pinned(pull: ManifestPull, state: TagState) -> Pinned:
    return Pinned(ManifestPull(pull.repository, state.digest, pull.caller))


def _marked(resolution: Resolution, pinned: Pinned) -> Resolution:
    if pinned.stale_seconds is None:
        return resolution
    return replace(resolution, stale_seconds=pinned.stale_seconds)
