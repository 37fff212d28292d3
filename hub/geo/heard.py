"""Whether a region's replica reports: then silence on the hub's way there proves nothing."""

from hub.clock import Clock
from hub.database import DatabaseUnavailable
from hub.instances.instances import Instances
from hub.instances.state import OVER


class Heard:
    """Looks when replicas reported last. Silence from before this hub began was the hub's own."""

    def __init__(self, instances: Instances, within_seconds: float, clock: Clock) -> None:
        self._instances = instances
        self._within_seconds = within_seconds
        self._clock = clock
        self._listening_since = clock.wall()

    async def is_heard(self, region: str) -> bool:
        """Say whether the replica of a region reported lately, as far as it is known.

        A database that can't be read is the hub's own trouble, and no sign of a region's either.
        """
        now = self._clock.wall()
        try:
            replicas = await self._instances.list()
        except DatabaseUnavailable:
            return True
        for each in replicas:
            if each.region == region and each.state not in OVER and each.reported_at is not None:
                since = max(each.reported_at, self._listening_since)
                return now - since <= self._within_seconds
        return False
