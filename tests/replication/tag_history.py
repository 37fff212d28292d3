"""What the tags of a primary named, one state after the other, and what may be shown of that."""

from dataclasses import dataclass, field

INFINITE = float("inf")

Key = tuple[str, str]
"""Repository and tag."""


@dataclass(slots=True)
class History:
    """States of one tag: a digest, or None where there was no such tag; each until a time."""

    states: list[str | None] = field(default_factory=lambda: [None])
    until: list[float] = field(default_factory=lambda: [INFINITE])
    shown: int = 0
    """No answer may be older than this state."""
    told_of: int = 0
    """No answer may be older than this one, while the primary answers."""

    @property
    def newest(self) -> int:
        return len(self.states) - 1

    @property
    def current(self) -> str | None:
        return self.states[-1]

    def move(self, state: str | None, now: float) -> None:
        """Let the tag name something else from now on."""
        if state != self.states[-1]:
            self.until[-1] = now
            self.states.append(state)
            self.until.append(INFINITE)

    def fitting(self, seen: str | None, oldest: int) -> list[int]:
        """Give the states that an answer may be of, from *oldest* on."""
        return [n for n in range(oldest, len(self.states)) if self.states[n] == seen]
