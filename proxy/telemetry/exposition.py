"""Metrics of one program in a registry of their own, and how they are shown to Prometheus."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.utils import floatToGoString

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
Tally = dict[tuple[str, ...], int]

_LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

CONTENT_TYPE = CONTENT_TYPE_LATEST

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series that nobody reads


class Exposition:
    """What every program shows of itself, and the ways to count more."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.loop_lag = Histogram(
            "proxima_loop_lag_seconds",
            "How late the event loop runs a timer.",
            registry=self.registry,
            buckets=_LAG_SECONDS,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"proxima_{name}", text, labels, registry=self.registry)

    def _tally(self, name: str, text: str, **labels: Iterable[str]) -> Tally:
        """Give counts by labels, all of them there from the start: no series appears later."""
        tally: Tally = dict.fromkeys(product(*labels.values()), 0)
        self.registry.register(_Tallied(f"proxima_{name}", text, tuple(labels), tally))
        return tally

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number that something else keeps."""
        gauge = Gauge(f"proxima_{name}", text, registry=self.registry)
        gauge.set_function(read)

    def watch_by(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Show numbers that something else keeps, by one label of a closed set."""
        self.registry.register(_Watched(f"proxima_{name}", text, label, read))

    def exposition(self) -> bytes:
        """Give all of it in Prometheus's text format."""
        return generate_latest(self.registry)


class _Tallied:
    """Counts that one thread keeps in a dictionary: a Counter's lock costs more than a hit may."""

    def __init__(self, name: str, text: str, labels: Sequence[str], tally: Tally) -> None:
        self._name, self._text, self._labels, self._tally = name, text, labels, tally

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, number in tuple(self._tally.items()):
            family.add_metric(values, number)
        yield family


class Timings:
    """A histogram by one label, kept as a Tally is."""

    def __init__(self, name: str, text: str, label: str, values: Iterable[str]) -> None:
        self._name, self._text, self._label = name, text, label
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        for value in values:
            self.know(value)

    def know(self, value: str) -> None:
        """Show a value of the label, from nothing on."""
        self._counts[value] = [0] * (len(_SECONDS) + 1)
        self._sums[value] = 0.0

    def observe(self, value: str, seconds: float) -> None:
        """Count one duration."""
        self._counts[value][bisect_left(_SECONDS, seconds)] += 1
        self._sums[value] += seconds

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=[self._label])
        bounds = [*map(floatToGoString, _SECONDS), "+Inf"]
        for value, counts in self._counts.items():
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric([value], buckets, self._sums[value])
        yield family


class _Watched:
    def __init__(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        self._name, self._text, self._label, self._read = name, text, label, read

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label])
        for value, number in self._read().items():
            family.add_metric([value], number)
        yield family
