"""Every metric of the process beside a DNS server. Label values come from the enum here alone."""

from enum import StrEnum

from proxy.telemetry.exposition import Exposition


class BackendCall(StrEnum):
    """How a call of the DNS server was answered."""

    ANSWERED = "answered"
    INVALID = "invalid"
    NO_STATE = "no_state"
    FAILED = "failed"


class DnsMetrics(Exposition):
    """One process's metrics."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = self._tally(
            "dns_backend_calls", "Calls of the DNS server answered.", outcome=BackendCall
        )

    def called(self, outcome: BackendCall) -> None:
        """Count one call, once."""
        self._calls[outcome,] += 1
