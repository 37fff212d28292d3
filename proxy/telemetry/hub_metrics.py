"""Every metric of the hub. Label values come from the enums here alone."""

from enum import StrEnum

from proxy.telemetry.exposition import Exposition, Timings


class Route(StrEnum):
    """What a request to the hub is about."""

    NOTIFICATIONS = "notifications"
    SELF = "self"
    EVENTS = "events"
    LEASE = "lease"
    REPORTS = "reports"
    GEO = "geo"
    OPERATORS = "operators"
    OTHER = "other"


class StatusClass(StrEnum):
    """How a request was answered."""

    DONE = "2xx"
    ELSEWHERE = "3xx"
    REFUSED = "4xx"
    FAILED = "5xx"
    LEFT = "left"

    @classmethod
    def of(cls, status: int) -> "StatusClass":
        """Give the class of a status."""
        return _CLASSES.get(status // 100, cls.FAILED)


_CLASSES = {2: StatusClass.DONE, 3: StatusClass.ELSEWHERE, 4: StatusClass.REFUSED}


class Arrival(StrEnum):
    """What became of a notification, or of one of its entries."""

    LOGGED = "logged"
    REPEATED = "repeated"
    IGNORED = "ignored"
    PARKED = "parked"
    SENTINEL = "sentinel"


class HubMetrics(Exposition):
    """One hub's metrics, children bound beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self._requests = self._tally(
            "hub_requests", "Requests answered.", route=Route, status=StatusClass
        )
        self._seconds = Timings(
            "proxima_hub_request_seconds",
            "Time from a request's headers to its answer; of a stream: to its end.",
            "route",
            Route,
        )
        self.registry.register(self._seconds)
        self._arrivals = self._tally(
            "hub_notifications", "Entries of notifications received.", arrival=Arrival
        )
        self.parked_dropped = self._counter(
            "hub_parked_dropped", "Parked notifications that newer ones pushed out."
        )
        self.trimmed_events = self._counter("hub_trimmed_events", "Events past their time.")
        self.cut_streams = self._counter(
            "hub_cut_streams", "Streams ended because their replica didn't keep up."
        )

    def request_ended(self, route: Route, status: StatusClass, seconds: float) -> None:
        """Count one request, once."""
        self._requests[route, status] += 1
        self._seconds.observe(route, seconds)

    def arrived(self, arrival: Arrival, number: int = 1) -> None:
        """Count entries of notifications."""
        self._arrivals[arrival,] += number
