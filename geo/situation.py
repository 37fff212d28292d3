"""How the regions stand now, and the networks that were linked to them at run time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from geo.catalogue import Network


class Standing(StrEnum):
    """Whether a region takes clients. DRAINED: an operator sends it none, up or down."""

    UP = "up"
    DOWN = "down"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class Situation:
    """What changes while the catalogue stays.

    standings: a region that isn't named is up, or drained where its catalogue says so.

    linked: the access list of a region too: once it has one, it is closed to all others.
    """

    standings: Mapping[str, Standing] = field(default_factory=dict)
    linked: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)


class Hysteresis:
    """Up until *fall* checks in a row failed; down until *rise* in a row passed."""

    __slots__ = ("_against", "_fall", "_rise", "is_up")

    def __init__(self, fall: int, rise: int, *, is_up: bool = True) -> None:
        self._fall = fall
        self._rise = rise
        self._against = 0
        self.is_up = is_up

    def note(self, ok: bool) -> bool:  # noqa: FBT001 -- the outcome of a check, not a choice
        """Take in the outcome of a check, and say whether it is up now."""
        self._against = 0 if ok is self.is_up else self._against + 1
        if self._against >= (self._fall if self.is_up else self._rise):
            self.is_up = ok
            self._against = 0
        return self.is_up
