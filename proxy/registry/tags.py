"""Tags: how fresh an answer by tag is, and what happens when the primary can't be asked.

Rules:
- How fresh an answer has to be says `freshness`; how the primary is asked `tag_checks`.
- Unreachable, 5xx, 429 and answers that can't be used: the last known digest, marked stale, up to
  `stale_limit` after its last check. Where the primary named a time to come again, the same.
- 401, 403, 404, 412, 451: that is the answer to this client. A tag is removed here only by a
  confirmed 404 (in the spec's words, on a GET), twice at least five seconds apart.
"""

from dataclasses import dataclass, replace

from proxy.oci.digest import Digest
from proxy.oci.errors import BadGateway, ManifestUnknown, RegistryError, Unavailable
from proxy.oci.reference import Repository, Tag
from proxy.oci.request import ManifestPull, Pull
from proxy.oci.span import RangeRequest
from proxy.registry.fill import CacheFill
from proxy.registry.freshness import Outlook, TagTimes, Verdict
from proxy.registry.primary import Fetched
from proxy.registry.puller import Bytes, Content, Resolution
from proxy.registry.store import bytes_content, part_of
from proxy.registry.tag_checks import TagChecks
from proxy.registry.tagbook import TagBook, TagState
from proxy.telemetry.labels import Origin
from proxy.telemetry.logs import EventLog

_ANSWERED = (Verdict.ANSWER, Verdict.RENEW)


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
        checks: TagChecks,
        times: TagTimes,
        log: EventLog,
    ) -> None:
        self._inner = inner
        self._book = book
        self._checks = checks
        self._times = times
        self._log = log

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
        if state is None or not self._may_answer(pull, tag, state):
            return None
        return self._inner.at_hand(ManifestPull(repository, state.digest, pull.caller))

    # --- pinning ----------------------------------------------------------------------------------

    async def _pin(self, pull: ManifestPull, tag: Tag) -> Pinned:
        """Bring a tag to a digest, asking the primary where the rules say so.

        Raises: Absent, Unauthorized, Denied, Refused: the primary's answer to this caller.
        Unavailable: nobody can be asked and nothing is known, or for too long.
        """
        state = await self._book.known(pull.repository, tag)
        if state is not None and self._may_answer(pull, tag, state):
            return _pinned(pull, state)
        error = self._checks.wish_for_quiet(pull.caller)
        if state is not None and error is not None:
            return self._stale(pull, tag, state, error)
        try:
            return await self._asked(pull, tag)
        except (Unavailable, BadGateway) as exc:
            state = await self._book.known(pull.repository, tag)  # not what it was before
            if state is not None and self._may_answer(pull, tag, state):
                return _pinned(pull, state)
            return self._stale(pull, tag, state, exc)

    def _may_answer(self, pull: ManifestPull, tag: Tag, state: TagState) -> bool:
        """Say whether *state* is fresh enough to be answered; renew it behind the answer if due."""
        verdict = self._times.verdict(pull.repository, tag, state)
        if verdict is Verdict.RENEW:
            self._checks.renew(pull, tag)
        return verdict in _ANSWERED

    async def _asked(self, pull: ManifestPull, tag: Tag) -> Pinned:
        """Pin a tag by what the primary says; once more if it was dropped here meanwhile."""
        for _ in range(2):
            fetched = await self._checks.check(pull, tag)
            if fetched is not None and not fetched.is_storable:
                return Pinned(pull, passing=fetched)
            state = self._book.remembered(pull.repository, tag)
            if state is not None:
                return _pinned(pull, state)
        raise ManifestUnknown

    def _stale(
        self, pull: ManifestPull, tag: Tag, state: TagState | None, error: RegistryError
    ) -> Pinned:
        if state is None or not self._times.may_be_shown(state):
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

    def outlook(self, repository: Repository, tag: Tag) -> Outlook:
        """Give what a pull of a tag would do now, and why."""
        return self._times.outlook(repository, tag, self._book.remembered(repository, tag))


def _pinned(pull: ManifestPull, state: TagState) -> Pinned:
    return Pinned(ManifestPull(pull.repository, state.digest, pull.caller))


def _marked(resolution: Resolution, pinned: Pinned) -> Resolution:
    if pinned.stale_seconds is None:
        return resolution
    return replace(resolution, stale_seconds=pinned.stale_seconds)
