"""Log lines of what may happen at any rate: one in a while, which says how many it stands for."""


class Seldom:
    """Counts what happens, and says when a line is due."""

    def __init__(self, every_seconds: float) -> None:
        self._every_seconds = every_seconds
        self._untold = 0
        self._due_at = float("-inf")

    def note(self, now: float) -> int:
        """Note one more; give how many a line stands for that is due now, 0 if none is."""
        self._untold += 1
        if now < self._due_at:
            return 0
        self._due_at = now + self._every_seconds
        told, self._untold = self._untold, 0
        return told
