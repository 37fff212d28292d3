"""Decisions of the primary, remembered: who may do what, and whose login was accepted.

A decision is fresh for `ttl`; from half of that on it is asked again behind the answer, past it
before the answer. While the primary can't be reached a grant holds for `grace` more, counted from
the last time it was given. A refusal ends a grant at once and is remembered for two seconds.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from proxy.oci.errors import RegistryError
from proxy.registry.bounded import BoundedMap

REFUSED_SECONDS = 2.0

K = TypeVar("K", bound=Hashable)


class Standing(Enum):
    """What is known of one decision."""

    FRESH = auto()
    AGEING = auto()
    LAPSED = auto()
    REFUSED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class _Decision:
    refusal: RegistryError | None
    decided_at: float


class Decisions(Generic[K]):
    """A bounded memory of grants and refusals."""

    def __init__(
        self, ttl_seconds: float, grace_seconds: float, limit: int, clock: Callable[[], float]
    ) -> None:
        self._ttl = ttl_seconds
        self._grace = grace_seconds
        self._clock = clock
        self._decisions: BoundedMap[K, _Decision] = BoundedMap(limit)

    def standing(self, key: K) -> Standing:
        """Say what is known."""
        decision = self._decisions.get(key)
        if decision is None:
            return Standing.UNKNOWN
        age = self._clock() - decision.decided_at
        if decision.refusal is not None:
            return Standing.REFUSED if age < REFUSED_SECONDS else Standing.UNKNOWN
        if age < self._ttl / 2:
            return Standing.FRESH
        if age < self._ttl:
            return Standing.AGEING
        return Standing.LAPSED if age < self._grace else Standing.UNKNOWN

    def is_granted(self, key: K) -> bool:
        """Say whether a grant holds without asking anybody."""
        return self.standing(key) in (Standing.FRESH, Standing.AGEING)

    def refusal(self, key: K) -> RegistryError | None:
        """Give the error of a refusal."""
        decision = self._decisions.get(key)
        return decision.refusal if decision else None

    def grant(self, key: K) -> None:
        """Note a yes."""
        self._decisions.put(key, _Decision(None, self._clock()))

    def refuse(self, key: K, error: RegistryError) -> None:
        """Note a no; whatever was granted under this key ends."""
        self._decisions.put(key, _Decision(error, self._clock()))

    def end_where(self, matches: Callable[[K], bool]) -> None:
        """Forget every decision whose key matches."""
        self._decisions.drop_where(matches)

    def __len__(self) -> int:
        return len(self._decisions)
