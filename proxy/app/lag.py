"""How late the event loop is: what every client waits for beside its own."""

import asyncio

from proxy.telemetry import Metrics

PERIOD_SECONDS = 0.05
"""Half of what may hold up the loop: whatever does for longer is seen, whenever it begins."""
BUSY_SECONDS = 0.02


class LoopLag:
    """Measures it as long as `run` runs. `latest_seconds` is what the latest look found."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.latest_seconds = 0.0

    @property
    def is_busy(self) -> bool:
        """Say whether the loop has no time to spare."""
        return self.latest_seconds > BUSY_SECONDS

    async def run(self) -> None:
        """Look for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PERIOD_SECONDS
            await asyncio.sleep(PERIOD_SECONDS)
            self.latest_seconds = max(0.0, loop.time() - due)
            self._metrics.loop_lag.observe(self.latest_seconds)
