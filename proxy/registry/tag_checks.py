"""Questions to the primary about tags: before an answer or behind it, together with whoever asks at
the same time.

Rules:
- Checks of one tag are serialised. A pull joins one that is under way, unless it has to be newer.
- Behind an answer a tag is asked about at most once within `verify_every`, whatever comes of it,
  and only while few questions are under way: what is left out is asked at a later pull.
- Where the primary named a time to come again (Retry-After), it isn't asked for that caller before.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from proxy.oci.caller import Caller
from proxy.oci.descriptor import Descriptor
from proxy.oci.errors import (
    Absent,
    BadGateway,
    Denied,
    RegistryError,
    Unauthorized,
    Unavailable,
)
from proxy.oci.manifest import SCHEMA1_TYPES
from proxy.oci.reference import Tag
from proxy.oci.request import ManifestPull
from proxy.registry.bounded import BoundedMap
from proxy.registry.clock import Clock
from proxy.registry.fetcher import Fetcher
from proxy.registry.fill import CacheFill
from proxy.registry.freshness import TagTimes
from proxy.registry.primary import Fetched
from proxy.registry.single_flight import SingleFlight
from proxy.registry.tagbook import MAX_REMEMBERED_TAGS, Key, TagBook, TagState

MAX_QUIET_SECONDS = 300
MAX_QUIET_CALLERS = 10_000
MAX_CHECKS_WITH_RENEWALS = 32


@dataclass(frozen=True, slots=True)
class _Quiet:
    """The primary wants to be left alone *until*, as it said with *error*."""

    until: float
    error: Unavailable


class TagChecks:
    """Asks the primary about tags, and lets the book know what it says."""

    def __init__(
        self,
        inner: CacheFill,
        book: TagBook,
        fetcher: Fetcher,
        times: TagTimes,
        clock: Clock,
    ) -> None:
        self._inner = inner
        self._book = book
        self._fetcher = fetcher
        self._times = times
        self._clock = clock
        self._quiet: BoundedMap[Caller, _Quiet] = BoundedMap(MAX_QUIET_CALLERS)
        self._renewed_at: BoundedMap[Key, float] = BoundedMap(MAX_REMEMBERED_TAGS)
        self._running: SingleFlight[Key, Fetched | None] = SingleFlight()

    def wish_for_quiet(self, caller: Caller) -> Unavailable | None:
        """Give what the primary said when it wanted to be left alone, while that holds."""
        quiet = self._quiet.get(caller)
        return quiet.error if quiet is not None and self._clock.now() < quiet.until else None

    def _note_quiet(self, caller: Caller, error: RegistryError) -> None:
        if isinstance(error, Unavailable) and error.is_time_named:
            seconds = min(error.retry_after_seconds, MAX_QUIET_SECONDS)
            self._quiet.put(caller, _Quiet(self._clock.now() + seconds, error))

    async def check(self, pull: ManifestPull, tag: Tag) -> Fetched | None:
        """Ask the primary, together with whoever asks at the same time.

        Gives what isn't kept here; None: the book knows.
        """
        key = (pull.repository, tag)
        if self._running.is_running(key):
            try:
                found = await self._run(pull, tag)
            except (Unauthorized, Denied):
                return await self._ask(pull, tag)  # the other caller's refusal isn't ours
            except Absent:
                if not self._times.was_told_of(*key):
                    raise  # else it may have been asked before the push that an event told of
            else:
                if self._times.is_enough(*key, self._book.remembered(*key)):
                    return found
        return await self._run(pull, tag)

    def renew(self, pull: ManifestPull, tag: Tag) -> None:
        """Ask the primary behind an answer, if it is time for that."""
        key, now = (pull.repository, tag), self._clock.now()
        renewed_at = self._renewed_at.get(key)
        if renewed_at is not None and not self._times.is_renewal_due(renewed_at, now):
            return
        if len(self._running) >= MAX_CHECKS_WITH_RENEWALS or self.wish_for_quiet(pull.caller):
            return
        self._renewed_at.put(key, now)
        self._running.start_behind(key, self._asking(pull, tag))

    async def _run(self, pull: ManifestPull, tag: Tag) -> Fetched | None:
        return await self._running.run((pull.repository, tag), self._asking(pull, tag))

    def _asking(self, pull: ManifestPull, tag: Tag) -> Callable[[], Awaitable[Fetched | None]]:
        return lambda: self._ask(pull, tag)

    async def _ask(self, pull: ManifestPull, tag: Tag) -> Fetched | None:
        try:
            return await self._answer(pull, tag)
        except (Unavailable, BadGateway) as exc:
            self._note_quiet(pull.caller, exc)
            raise

    async def _answer(self, pull: ManifestPull, tag: Tag) -> Fetched | None:
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
        await self._running.close()
