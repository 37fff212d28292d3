"""The hub's metrics about replicas, by region.

Regions are a closed set here: those that have a replica. A series ends with its replica.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client import Counter

from proxy.telemetry.exposition import Exposition, Timings


@dataclass(frozen=True, slots=True)
class ReplicaNumbers:
    """One replica as it stands. What nobody knows is None, and not shown."""

    region: str
    state: str
    lag_seconds: float | None
    queue: int
    bytes_behind: int
    eta_seconds: float | None


class ReplicaMetrics:
    """Gauges of what replicas report, and how long artifacts took to arrive."""

    def __init__(self, exposition: Exposition, states: Sequence[str]) -> None:
        self._states = tuple(states)
        self._numbers: Sequence[ReplicaNumbers] = ()
        self._arrivals = _RegionTimings(
            "proxima_hub_arrival_seconds",
            "Time from an event at the primary to the artifact being complete in a region.",
        )
        exposition.registry.register(self._arrivals)
        for name, text, field in (
            ("lag_seconds", "Age of the oldest event not yet complete there.", "lag_seconds"),
            ("queue", "Artifacts that wait to be copied there.", "queue"),
            ("bytes_behind", "Bytes that are to be copied there.", "bytes_behind"),
            ("eta_seconds", "Time until it has caught up, as it says.", "eta_seconds"),
        ):
            exposition.watch_by(
                f"hub_replica_{name}", text, "region", partial(self._by_region, field)
            )
        exposition.watch_by("hub_replicas", "Replica instances.", "state", self._by_state)
        self.refused_entries = Counter(
            "proxima_hub_refused_entries",
            "Entries of reports that couldn't be read.",
            registry=exposition.registry,
        )
        self.trimmed_entries = Counter(
            "proxima_hub_trimmed_entries",
            "Entries of the replication log past their time.",
            registry=exposition.registry,
        )

    def show(self, numbers: Sequence[ReplicaNumbers]) -> None:
        """Show these replicas from now on, and no others."""
        self._numbers = tuple(numbers)
        self._arrivals.keep({each.region for each in numbers})

    def arrived(self, region: str, seconds: float) -> None:
        """Count an artifact that is complete now; of a region that isn't shown, nothing."""
        self._arrivals.observe_known(region, max(0.0, seconds))

    def _by_region(self, field: str) -> Mapping[str, float]:
        pairs = ((each.region, getattr(each, field)) for each in self._numbers)
        return {region: value for region, value in pairs if value is not None}

    def _by_state(self) -> Mapping[str, float]:
        numbers = dict.fromkeys(self._states, 0.0)
        for each in self._numbers:
            numbers[each.state] += 1
        return numbers


class _RegionTimings(Timings):
    """Durations by region, where regions come and go."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text, "region", ())

    def observe_known(self, region: str, seconds: float) -> None:
        if region in self._counts:
            self.observe(region, seconds)

    def keep(self, regions: set[str]) -> None:
        for region in self._counts.keys() - regions:
            del self._counts[region], self._sums[region]
        for region in regions - self._counts.keys():
            self.know(region)
