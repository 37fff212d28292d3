"""One order of the regions, and whom it sends where.

An order is the same for all clients of one network, or of one place: it is made once. What it
gives differs from client to client only where their own region can't be used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from geo.catalogue import Region
from geo.ranking import Ranked
from geo.situation import Standing
from geo.spread import draw

LAST = {Standing.UP: 0, Standing.DOWN: 1, Standing.DRAINED: 2}


@dataclass(frozen=True, slots=True)
class Choice:
    """All regions, the answer first, and why it is that."""

    regions: tuple[Ranked, ...]
    reason: str


class Plan:
    """Where the clients of one order go.

    order: those that let the client in come first, if any does. own: how many at its start are the
    client's own regions: the first of them that is up has it. why: the reason for these.
    """

    def __init__(self, order: Sequence[Ranked], own: int, spread: int, why: str) -> None:
        entering = [each for each in order if each.may_enter] or list(order)
        admits = any(each.may_enter for each in order)
        self._refusing = [each for each in order if admits and not each.may_enter]
        self._entering = entering
        self._own = entering[:own]
        self._spread = spread
        self._drawn: dict[str, Choice] = {}
        self._settled = self._settle(why)

    def choose(self, client: bytes) -> Choice:
        """Give the choice for a client, by the key of its network."""
        if self._settled is not None:
            return self._settled
        first = self._own[0]
        drawn = draw(client, first.region.name, self._others, self._spread, self._is_up).name
        if drawn not in self._drawn:
            answer = next(each for each in self._entering if each.region.name == drawn)
            reason = f"{first.region.name} is {first.standing}: spread"
            self._drawn[drawn] = self._choice(answer, reason)
        return self._drawn[drawn]

    @property
    def is_settled(self) -> bool:
        """Say whether all its clients go to one region."""
        return self._settled is not None

    @cached_property
    def _others(self) -> list[Region]:
        """The regions that the client's own may be left for, in order."""
        return [each.region for each in self._entering[len(self._own) :]]

    @cached_property
    def _up(self) -> frozenset[str]:
        up = (each for each in self._entering if each.standing is Standing.UP)
        return frozenset(each.region.name for each in up)

    def _is_up(self, region: Region) -> bool:
        return region.name in self._up

    def _settle(self, why: str) -> Choice | None:
        """Give the choice where it is the same for all clients."""
        for each in self._own:
            if each.standing is Standing.UP:
                return self._choice(each, why)
        if any(each.standing is Standing.UP for each in self._entering):
            return None
        nearest = min(self._entering, key=lambda each: LAST[each.standing])
        return self._choice(nearest, "all look down: the nearest anyway")

    def _choice(self, answer: Ranked, reason: str) -> Choice:
        """Put the answer first, then the others by standing; who refuses comes last."""
        others = [each for each in self._entering if each is not answer]
        others.sort(key=lambda each: LAST[each.standing])
        return Choice((answer, *others, *self._refusing), reason)
