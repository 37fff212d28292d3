"""What a load run says at its end: throughput, times by kind of request, errors."""

import json

from locust.stats import RequestStats, StatsEntry

from loadtest.containerd import PULL
from loadtest.units import show_bytes, show_seconds

_KINDS = (
    "HEAD tag (401)",
    "token (form)",
    "token",
    "HEAD tag",
    "index or manifest",
    "manifest",
    "config",
    "layer",
)
_LINE = "  {:<20} {:>9} {:>7} {:>9} {:>9} {:>9} {:>9} {:>10}"
_PERCENTILES = (0.50, 0.90, 0.99)
_SHOWN_ERRORS = 10


class Report:
    """The statistics of a run; *seconds* from the first user's start to the last one's end."""

    def __init__(self, stats: RequestStats, seconds: float) -> None:
        self._stats, self._seconds = stats, seconds

    @property
    def pulls(self) -> int:
        """How many images were pulled completely."""
        entry = self._whole
        return entry.num_requests - entry.num_failures if entry is not None else 0

    @property
    def failures(self) -> int:
        """How many requests failed, whole pulls included."""
        return int(self._stats.total.num_failures)

    @property
    def received_bytes(self) -> int:
        """Bytes of all bodies."""
        return int(self._stats.total.total_content_length)

    def text(self) -> str:
        """Give the report."""
        rate = show_bytes(int(self.received_bytes / self._seconds))
        summary = (
            f"  {self.pulls} pulls in {show_seconds(self._seconds)}:"
            f" {self.pulls / self._seconds:.2f} pulls/s, {rate}/s, {self.failures} failures"
        )
        lines = [
            summary,
            "",
            _LINE.format("request", "number", "failed", "p50", "p90", "p99", "longest", "bytes"),
        ]
        entries = sorted(self._stats.entries.values(), key=_order)
        lines += [_row(entry) for entry in entries if entry is not self._whole]
        if self._whole is not None:
            lines.append(_row(self._whole))
        return "\n".join([*lines, *self._errors()])

    def json(self) -> str:
        """Give the totals as one JSON object; times in seconds."""
        return json.dumps(
            {
                "pulls": self.pulls,
                "failures": self.failures,
                "seconds": round(self._seconds, 3),
                "pulls_per_second": round(self.pulls / self._seconds, 3),
                "bytes_per_second": round(self.received_bytes / self._seconds),
            }
        )

    @property
    def _whole(self) -> StatsEntry | None:
        method, name = PULL
        return self._stats.entries.get((name, method))

    def _errors(self) -> list[str]:
        errors = sorted(self._stats.errors.values(), key=lambda error: -error.occurrences)
        shown = [
            f"  {e.occurrences} x {e.method} {e.name}: {e.error}" for e in errors[:_SHOWN_ERRORS]
        ]
        return ["", "  errors", *shown] if shown else []


def _order(entry: StatsEntry) -> int:
    return _KINDS.index(entry.name) if entry.name in _KINDS else len(_KINDS)


def _row(entry: StatsEntry) -> str:
    times_ms = [entry.get_response_time_percentile(share) for share in _PERCENTILES]
    return _LINE.format(
        "the whole pull" if (entry.method, entry.name) == PULL else entry.name,
        entry.num_requests,
        entry.num_failures,
        *(show_seconds(time_ms / 1000) for time_ms in (*times_ms, entry.max_response_time)),
        show_bytes(entry.total_content_length) if entry.total_content_length else "",
    ).rstrip()
