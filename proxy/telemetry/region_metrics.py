"""The hub's metrics about where clients go, by region: a closed set, that of the catalogue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import Counter

from proxy.telemetry.exposition import Exposition


@dataclass(frozen=True, slots=True)
class RegionNumbers:
    """A region as it stands. probe_seconds: the slowest check of the last round; None: none."""

    is_up: bool
    is_drained: bool
    is_excused: bool
    probe_seconds: float | None


Look = Callable[[], Mapping[str, RegionNumbers]]


class RegionMetrics:
    """Gauges of the regions, looked at when they are asked for."""

    def __init__(self, exposition: Exposition, look: Look) -> None:
        for name, text, read in (
            ("up", "1: it answers; 0: it is down.", lambda each: each.is_up),
            ("drained", "1: it has no new clients.", lambda each: each.is_drained),
            (
                "excused",
                "1: the hub has no answer, but the replica reports.",
                lambda each: each.is_excused,
            ),
            (
                "probe_seconds",
                "Time that the slowest check of the last round took.",
                lambda each: each.probe_seconds,
            ),
        ):
            exposition.watch_by(f"hub_region_{name}", text, "region", _reading(look, read))
        self.turns = Counter(
            "proxima_hub_region_turns",
            "Times that a region went down or came back.",
            registry=exposition.registry,
        )


def _reading(
    look: Look, read: Callable[[RegionNumbers], float | None]
) -> Callable[[], Mapping[str, float]]:
    def numbers() -> Mapping[str, float]:
        pairs = ((name, read(each)) for name, each in look().items())
        return {name: float(value) for name, value in pairs if value is not None}

    return numbers
