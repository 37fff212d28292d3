"""How fresh an answer by tag has to be, decided from what is known of the tag."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum, StrEnum, auto

from proxy.oci.reference import Repository, Tag
from proxy.registry.assurance import Assurance
from proxy.registry.tagbook import NEVER, TagState


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
    """The policy by repository and tag; all times in seconds.

    Under a lease a check older than `verify_every` is renewed behind the answer, one older than
    `idle_verify` before it. All who go by the rules share them: what they become counts from the
    next answer on.
    """

    policy: Callable[[Repository, Tag], Freshness]
    ttl: float
    stale_limit: float
    verify_every: float
    idle_verify: float

    def become(self, other: "TagRules") -> None:
        """Take over other rules."""
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))


class Verdict(Enum):
    """What a pull of a known tag does."""

    ANSWER = auto()
    """It is answered from here."""
    RENEW = auto()
    """The same, and the primary is asked behind the answer."""
    ASK = auto()
    """The primary is asked first; a question under way will do."""
    ASK_ANEW = auto()
    """The primary is asked first, by a question that begins now."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a pull of a tag would do now, and why."""

    policy: Freshness
    verdict: Verdict
    is_leased: bool
    is_covered: bool
    is_dirty: bool


class TagTimes:
    """Decides what a pull of a tag does. Pure, but for what it reads of clock and assurance."""

    def __init__(
        self, rules: TagRules, age: Callable[[TagState], float], assurance: Assurance
    ) -> None:
        self._rules = rules
        self._age = age
        self._assurance = assurance

    def verdict(self, repository: Repository, tag: Tag, state: TagState) -> Verdict:
        """Say what a pull of a tag does whose *state* is known."""
        freshness = self._rules.policy(repository, tag)
        if freshness is Freshness.NEVER:
            return Verdict.ANSWER
        if freshness is Freshness.ALWAYS:
            return Verdict.ASK_ANEW
        if state.missing_since is not None:
            return Verdict.ASK
        if freshness is Freshness.EVENT:
            assurance = self._assurance
            if assurance.is_dirty(repository, tag, state.asked_at):
                return Verdict.ASK_ANEW
            if assurance.is_live():
                return self._under_lease(state)
        return Verdict.ANSWER if self._age(state) < self._rules.ttl else Verdict.ASK

    def _under_lease(self, state: TagState) -> Verdict:
        if not self._assurance.covers(state.asked_at):
            return Verdict.ASK_ANEW
        age = self._age(state)
        if age >= self._rules.idle_verify:
            return Verdict.ASK
        return Verdict.ANSWER if age < self._rules.verify_every else Verdict.RENEW

    def is_enough(self, repository: Repository, tag: Tag, state: TagState | None) -> bool:
        """Say whether *state* will do for a pull that came while the primary was being asked."""
        if state is None:
            return self._rules.policy(repository, tag) is not Freshness.ALWAYS
        return self.verdict(repository, tag, state) is not Verdict.ASK_ANEW

    def is_renewal_due(self, renewed_at: float, now: float) -> bool:
        """Say whether a tag may be asked about again behind an answer."""
        return now - renewed_at >= self._rules.verify_every

    def was_told_of(self, repository: Repository, tag: Tag) -> bool:
        """Say whether an event told of the tag lately, dealt with or not."""
        return self._assurance.is_dirty(repository, tag, NEVER)

    def may_be_shown(self, state: TagState) -> bool:
        """Say whether *state* may be answered, marked stale, while the primary can't be asked."""
        return self._age(state) <= self._rules.stale_limit

    def outlook(self, repository: Repository, tag: Tag, state: TagState | None) -> Outlook:
        """Give what a pull would do now, and why."""
        asked_at = state.asked_at if state is not None else NEVER
        return Outlook(
            self._rules.policy(repository, tag),
            Verdict.ASK if state is None else self.verdict(repository, tag, state),
            self._assurance.is_live(),
            self._assurance.covers(asked_at),
            self._assurance.is_dirty(repository, tag, asked_at),
        )
