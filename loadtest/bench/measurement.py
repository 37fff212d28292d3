"""What a row gives: a value beside what it has to reach."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from loadtest.bench.lab import Lab


@dataclass(frozen=True, slots=True)
class Target:
    """What a value has to reach: at least a floor, or at most a ceiling, in *unit*."""

    unit: str
    floor: float | None = None
    ceiling: float | None = None

    def is_met(self, value: float) -> bool:
        """Whether *value* reaches it."""
        above = self.floor is None or value >= self.floor
        return above and (self.ceiling is None or value <= self.ceiling)

    def show(self, value: float) -> str:
        """Give *value* in this unit; a ratio has two places, whatever is counted none."""
        return f"{value:.2f}x" if self.unit == "x" else f"{value:,.0f} {self.unit}"

    def __str__(self) -> str:
        if self.floor is not None:
            return f">= {self.show(self.floor)}"
        return f"<= {self.show(self.ceiling)}" if self.ceiling is not None else ""


def at_least(floor: float, unit: str = "x") -> Target:
    """Give a target that is a floor."""
    return Target(unit, floor=floor)


def at_most(ceiling: float, unit: str = "x") -> Target:
    """Give a target that is a ceiling."""
    return Target(unit, ceiling=ceiling)


def for_comparison(unit: str = "x") -> Target:
    """Give the target of a peer: none."""
    return Target(unit)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the table; *details* has the numbers behind the value."""

    what: str
    value: float
    target: Target
    details: str

    @property
    def is_met(self) -> bool:
        """Whether the value reaches the target."""
        return self.target.is_met(self.value)


class Row(Protocol):
    """A part of the benchmarks that starts all it needs, and can be run alone by its name."""

    @property
    def name(self) -> str:
        """How `--only` calls it."""
        ...

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give its lines as they are measured.

        Raises: ProgramFailed: a program isn't there or doesn't do what it should.
        """
        ...
