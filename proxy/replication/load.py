"""How much a replica has to do for its clients, as the hub is told."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

SHORTEST_SECONDS = 1.0
"""Reports that follow each other faster, since there is much to tell, share one average."""


@dataclass(frozen=True, slots=True)
class Load:
    """Open connections of clients, and the rate at which bodies went out since the last report."""

    connections: int
    bytes_per_second: float

    def as_document(self) -> dict[str, float]:
        """Give it as the hub reads it."""
        return asdict(self)


class LoadMeter:
    """Reads the load from what others count. *now*: seconds that only grow."""

    def __init__(
        self,
        connections: Callable[[], int],
        sent_bytes: Callable[[], int],
        now: Callable[[], float],
    ) -> None:
        self._connections = connections
        self._sent_bytes = sent_bytes
        self._now = now
        self._since = now()
        self._sent_before = sent_bytes()
        self._rate = 0.0

    def read(self) -> Load:
        """Give the load; the rate is that since this was asked last."""
        now, sent = self._now(), self._sent_bytes()
        if (seconds := now - self._since) >= SHORTEST_SECONDS:
            self._rate = (sent - self._sent_before) / seconds
            self._since, self._sent_before = now, sent
        return Load(self._connections(), round(self._rate, 1))
