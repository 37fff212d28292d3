"""Decisions of the primary, remembered: who may do what, and whose login was accepted.

Rules:
- A grant is as old as what it was proven with: the request, or the token that the request carried.
- It is fresh for half of `ttl`; up to `ttl` it is asked for again behind the answer, at most once
  in a few seconds; past it before the answer.
- While the primary can't be reached it holds for `grace`, counted from the same moment. After a
  try that didn't reach the primary, answers don't wait for the next tries.
- A refusal ends a grant at once and is remembered for two seconds. Only what was asked after it
  can grant again.
- Refusals are kept apart: callers who are refused push nobody's grant out.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import takewhile
from typing import Generic, TypeVar

from proxy.oci.errors import Denied, Unauthorized
from proxy.registry.bounded import BoundedMap

REFUSED_SECONDS = 2.0
RETRY_SECONDS = 5.0
UNREACHED_SECONDS = 15.0
MAX_REFUSALS = 10_000
NEVER = float("-inf")

K = TypeVar("K", bound=Hashable)


class Standing(Enum):
    """What is known of one decision."""

    FRESH = auto()
    """Granted."""
    AGEING = auto()
    """Granted; to be asked again behind the answer."""
    LAPSED = auto()
    """Granted once: to be asked again before the answer, good if the primary can't be reached."""
    GRACE = auto()
    """Granted once, and the primary couldn't be reached a moment ago; to be asked behind."""
    REFUSED = auto()
    UNKNOWN = auto()


@dataclass(slots=True)
class _Grant:
    proven_at: float
    tried_at: float = NEVER
    unreached_at: float = NEVER


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: Unauthorized | Denied
    refused_at: float

    def is_over(self, now: float) -> bool:
        return now - self.refused_at >= REFUSED_SECONDS


class Decisions(Generic[K]):
    """A bounded memory of grants and refusals."""

    def __init__(
        self, ttl_seconds: float, grace_seconds: float, limit: int, clock: Callable[[], float]
    ) -> None:
        self._clock = clock
        self.hold_for(ttl_seconds, grace_seconds)
        self._grants: BoundedMap[K, _Grant] = BoundedMap(limit)
        self._refusals: BoundedMap[K, _Refusal] = BoundedMap(min(limit, MAX_REFUSALS))

    def hold_for(self, ttl_seconds: float, grace_seconds: float) -> None:
        """Let grants of before and from now on hold for so long."""
        self._ttl = ttl_seconds
        self._grace = grace_seconds
        self._retry = min(RETRY_SECONDS, ttl_seconds / 4)

    def standing(self, key: K) -> Standing:
        """Say what is known."""
        grant = self._grants.get(key)
        now = self._clock()
        if grant is None:
            refusal = self._refusals.get(key)
            is_refused = refusal is not None and not refusal.is_over(now)
            return Standing.REFUSED if is_refused else Standing.UNKNOWN
        age = now - grant.proven_at
        if age < self._ttl / 2:
            return Standing.FRESH
        if age < self._ttl:
            return Standing.AGEING
        if age >= self._grace:
            return Standing.UNKNOWN
        is_unreached = now - grant.unreached_at < UNREACHED_SECONDS
        return Standing.GRACE if is_unreached else Standing.LAPSED

    def is_granted(self, key: K) -> bool:
        """Say whether a grant holds without asking anybody."""
        return self.standing(key) in (Standing.FRESH, Standing.AGEING)

    def has_been_granted(self, key: K) -> bool:
        """Say whether a grant holds, be it only while the primary can't be reached."""
        return self.standing(key) not in (Standing.UNKNOWN, Standing.REFUSED)

    def refusal(self, key: K) -> Unauthorized | Denied | None:
        """Give the error of the last refusal. Raise a copy: an error gathers a traceback."""
        refusal = self._refusals.get(key)
        return refusal.error if refusal else None

    # --- asking -----------------------------------------------------------------------------------

    def now(self) -> float:
        """Give the time that decisions are dated with."""
        return self._clock()

    def oldest_proof(self) -> float:
        """Give the time after which a proof must have been made to count as fresh."""
        return self._clock() - self._ttl / 2

    def may_ask_behind(self, key: K) -> bool:
        """Say whether a grant may be asked for again now; a yes counts as a try."""
        grant = self._grants.get(key)
        now = self._clock()
        if grant is None or now - grant.tried_at < self._retry:
            return False
        grant.tried_at = now
        return True

    def note_reached(self, key: K, *, is_reached: bool) -> None:
        """Note whether a try reached the primary, whatever it said."""
        grant = self._grants.get(key)
        if grant is not None:
            grant.unreached_at = NEVER if is_reached else self._clock()

    # --- deciding ---------------------------------------------------------------------------------

    def grant(self, key: K, proven_at: float | None = None) -> None:
        """Note a yes, proven by what was asked at *proven_at*, else now."""
        now = self._clock()
        proven_at = now if proven_at is None else proven_at
        refusal = self._refusals.get(key)
        if refusal is not None and proven_at < refusal.refused_at:
            return
        grant = self._grants.get(key)
        if grant is not None and grant.proven_at >= proven_at:
            return
        self._refusals.drop(key)
        self._grants.put(key, _Grant(proven_at))

    def refuse(self, key: K, error: Unauthorized | Denied) -> None:
        """Note a no; whatever was granted under this key ends."""
        self._grants.drop(key)
        now = self._clock()
        over = takewhile(lambda item: item[1].is_over(now), self._refusals.items())
        for old, _ in tuple(over):
            self._refusals.drop(old)
        self._refusals.put(key, _Refusal(error, now))

    def end_where(self, matches: Callable[[K], bool]) -> None:
        """End every grant whose key matches. This looks at all of them."""
        self._grants.drop_where(matches)

    def __len__(self) -> int:
        return len(self._grants)
