"""Where the hub's events and numbers go."""

from dataclasses import dataclass

from proxy.telemetry.hub_metrics import HubMetrics
from proxy.telemetry.logs import EventLog


@dataclass(frozen=True, slots=True)
class HubTelemetry:
    """Log and metrics."""

    log: EventLog
    metrics: HubMetrics
