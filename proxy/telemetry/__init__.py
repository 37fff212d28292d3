"""Every metric and every log field, once."""

from dataclasses import dataclass

from proxy.telemetry.logs import EventLog
from proxy.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where events and numbers go."""

    log: EventLog
    metrics: Metrics


__all__ = ["EventLog", "Metrics", "Telemetry"]
