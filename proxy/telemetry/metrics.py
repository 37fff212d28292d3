"""Every metric of the replica. Label values come from the enums in `labels` alone."""

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

from proxy.telemetry.labels import DecisionUse, FillEnd, HeaderRefusal, Kind, Origin, Outcome

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
Tally = dict[tuple[str, ...], int]

_LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

CONTENT_TYPE = CONTENT_TYPE_LATEST

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series that nobody reads


class Metrics:
    """One replica's metrics in a registry of their own, children bound beforehand."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests = self._tally("requests", "Requests answered.", kind=Kind, outcome=Outcome)
        self._seconds = _Timings(
            "proxima_request_seconds",
            "Time from a request's headers to the end of its answer.",
            "kind",
            Kind,
        )
        self.registry.register(self._seconds)
        self._sent = self._tally("sent_bytes", "Body bytes sent to clients.", origin=Origin)
        self._fills = self._counter("fills", "Fills ended.", "end")
        self._decisions = self._tally("decisions", "Rights looked up.", use=DecisionUse)
        self._headers_refused = self._tally(
            "proxy_headers_refused",
            "Connections closed for want of a trusted front end's PROXY header.",
            reason=HeaderRefusal,
        )
        self.upstream_bytes = self._counter("upstream_bytes", "Body bytes read from the primary.")
        self.distinct_bytes = self._counter(
            "distinct_bytes", "Bytes of different contents that came from the primary."
        )
        self.stale_answers = self._counter(
            "stale_answers", "Answers given from the last known state in an outage."
        )
        self.kept_push_bytes = self._counter("kept_push_bytes", "Pushed bytes kept on the way.")
        self.store_failures = self._counter(
            "store_failures", "Failed writes or reads of the store."
        )
        self.quarantined = self._counter("quarantined", "Contents found damaged and set aside.")
        self.evicted_contents = self._counter("evicted_contents", "Contents evicted.")
        self.evicted_bytes = self._counter("evicted_bytes", "Bytes of contents evicted.")
        self.scrubbed_bytes = self._counter("scrubbed_bytes", "Bytes that the scrub has hashed.")
        self.scrub_rounds = self._counter("scrub_rounds", "Times the scrub read all of the store.")
        self.loop_lag = Histogram(
            "proxima_loop_lag_seconds",
            "How late the event loop runs a timer.",
            registry=self.registry,
            buckets=_LAG_SECONDS,
        )
        self._gauge_of_amplification()
        self._fills_by = {end: self._fills.labels(end) for end in FillEnd}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"proxima_{name}", text, labels, registry=self.registry)

    def _tally(self, name: str, text: str, **labels: Iterable[str]) -> Tally:
        """Give counts by labels, all of them there from the start: no series appears later."""
        tally: Tally = dict.fromkeys(product(*labels.values()), 0)
        self.registry.register(_Tallied(f"proxima_{name}", text, tuple(labels), tally))
        return tally

    def _gauge_of_amplification(self) -> None:
        gauge = Gauge(
            "proxima_fill_amplification_ratio",
            "Bytes read from the primary for each distinct byte that came; 1 is ideal.",
            registry=self.registry,
        )
        gauge.set_function(
            lambda: _value(self.upstream_bytes) / max(1.0, _value(self.distinct_bytes))
        )

    def request_ended(self, kind: Kind, outcome: Outcome, seconds: float) -> None:
        """Count one request, once."""
        self._requests[kind, outcome] += 1
        self._seconds.observe(kind, seconds)

    def sent(self, origin: Origin, size_bytes: int) -> None:
        """Count body bytes that went to a client."""
        self._sent[origin,] += size_bytes

    def fill_ended(self, end: FillEnd) -> None:
        """Count one fill, once."""
        self._fills_by[end].inc()

    def decided(self, use: DecisionUse) -> None:
        """Count one look-up of a right."""
        self._decisions[use,] += 1

    def header_refused(self, reason: HeaderRefusal) -> None:
        """Count one connection that was closed before its PROXY header was through."""
        self._headers_refused[reason,] += 1

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


class _Timings:
    """A histogram by one label, kept as a Tally is."""

    def __init__(self, name: str, text: str, label: str, values: Iterable[str]) -> None:
        self._name, self._text, self._label = name, text, label
        self._counts = {value: [0] * (len(_SECONDS) + 1) for value in values}
        self._sums = dict.fromkeys(self._counts, 0.0)

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


def _value(counter: Counter) -> float:
    return float(counter._value.get())  # noqa: SLF001  # the library has no reader for one child
