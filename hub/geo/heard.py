"""Whether a region's replica reports: then silence on the hub's way there proves nothing."""

from enum import StrEnum

from hub.clock import Clock
from hub.database import DatabaseUnavailable
from hub.instances.instances import Instances
from hub.instances.state import OVER


class Word(StrEnum):
    """What is heard of a region's replica. UNKNOWN: the hub itself couldn't have heard it."""

    REPORTS = "reports"
    SILENT = "silent"
    UNKNOWN = "unknown"


class Heard:
    """Looks when replicas reported last. Silence from before this hub began was the hub's own."""

    def __init__(self, instances: Instances, within_seconds: float, clock: Clock) -> None:
        self._instances = instances
        self._within_seconds = within_seconds
        self._clock = clock
        self._listening_since = clock.now()

    async def hear(self, region: str) -> Word:
        """Give what is heard of the replica of a region.

        A database that can't be read is the hub's own trouble, and no sign of a region's either.
        """
        try:
            replicas = await self._instances.list()
        except DatabaseUnavailable:
            return Word.UNKNOWN
        for each in replicas:
            if each.region == region and each.state not in OVER and each.reported_at is not None:
                return self._word(each.reported_at)
        return Word.SILENT

    def _word(self, reported_at: float) -> Word:
        # A report from the future is from before the clock was set back: as good as none.
        if abs(self._clock.wall() - reported_at) <= self._within_seconds:
            return Word.REPORTS
        has_listened = self._clock.now() - self._listening_since > self._within_seconds
        return Word.SILENT if has_listened else Word.UNKNOWN
