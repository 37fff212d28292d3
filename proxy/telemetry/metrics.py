"""Every metric of the replica. Label values come from the enums in `labels` alone."""

from prometheus_client import Counter, Gauge, Histogram

from proxy.telemetry.exposition import Exposition, Timings
from proxy.telemetry.labels import (
    ClientRefusal,
    CopyEnd,
    DecisionUse,
    FillEnd,
    Finding,
    HeaderRefusal,
    Kind,
    Origin,
    Outcome,
    RoundEnd,
    Told,
)

_REPLICATION_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400)


class Metrics(Exposition):
    """One replica's metrics in a registry of their own, children bound beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self._requests = self._tally("requests", "Requests answered.", kind=Kind, outcome=Outcome)
        self._seconds = Timings(
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
        self._clients_refused = self._tally(
            "clients_refused",
            "Requests of clients whose network the region is closed to.",
            reason=ClientRefusal,
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
        self._gauge_of_amplification()
        self._told = self._tally(
            "notifications", "Entries of the primary's notifications.", told=Told
        )
        self._copies = self._tally("replications", "Pieces of replication ended.", end=CopyEnd)
        self.replicated_bytes = self._counter(
            "replicated_bytes", "Bytes that replication brought over the link."
        )
        self.saved_bytes = self._counter(
            "replication_saved_bytes", "Bytes that replication found here, or linked."
        )
        self.replication_lag = Histogram(
            "proxima_replication_lag_seconds",
            "Time from an event until all that it names was here.",
            registry=self.registry,
            buckets=_REPLICATION_SECONDS,
        )
        self._findings = self._tally(
            "reconcile_findings", "Tags found to be otherwise at the primary.", kind=Finding
        )
        self._rounds = self._tally("reconcile_rounds", "Comparisons ended.", end=RoundEnd)
        self.held_deletions = Gauge(
            "proxima_reconcile_held_deletions",
            "Tags that are gone at the primary, too many to be removed without leave.",
            registry=self.registry,
        )
        self._fills_by = {end: self._fills.labels(end) for end in FillEnd}

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

    @property
    def sent_bytes(self) -> int:
        """Body bytes that went to clients so far."""
        return sum(self._sent.values())

    def fill_ended(self, end: FillEnd) -> None:
        """Count one fill, once."""
        self._fills_by[end].inc()

    def decided(self, use: DecisionUse) -> None:
        """Count one look-up of a right."""
        self._decisions[use,] += 1

    def notified(self, events: int, ignored: int, *, is_parked: bool) -> None:
        """Count what the primary's notifications said."""
        self._told[Told.EVENT,] += events
        self._told[Told.IGNORED,] += ignored
        self._told[Told.PARKED,] += is_parked

    def replicated(self, end: CopyEnd, moved_bytes: int, saved_bytes: int) -> None:
        """Count one piece of replication, once."""
        self._copies[end,] += 1
        self.replicated_bytes.inc(moved_bytes)
        self.saved_bytes.inc(saved_bytes)

    def found(self, kind: Finding, count: int = 1) -> None:
        """Count tags that are otherwise at the primary."""
        self._findings[kind,] += count

    def reconciled(self, end: RoundEnd) -> None:
        """Count one comparison with the primary, once."""
        self._rounds[end,] += 1

    def header_refused(self, reason: HeaderRefusal) -> None:
        """Count one connection that was closed before its PROXY header was through."""
        self._headers_refused[reason,] += 1

    def client_refused(self, reason: ClientRefusal) -> None:
        """Count one request of a client that isn't let in."""
        self._clients_refused[reason,] += 1


def _value(counter: Counter) -> float:
    return float(counter._value.get())  # noqa: SLF001  # the library has no reader for one child
