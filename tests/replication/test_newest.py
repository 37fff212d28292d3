"""Which tags are the newest: by the dates that manifests and configs have, else by name."""

from datetime import UTC, datetime

import pytest

from proxy.oci.reference import Tag
from proxy.replication.newest import by_height, date_in


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00.123456789Z", datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2026-03-01T13:00:00+01:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("yesterday", None),
        ("2026-13-01T12:00:00Z", None),
        ("", None),
        ("2" * 100, None),
        (1_700_000_000, None),
        (None, None),
    ],
)
def test_dates(text: object, expected: datetime | None) -> None:
    """Times of RFC 3339 are read as builders write them; what is none is none."""
    assert date_in(text) == expected


def test_names() -> None:
    """Numbers in a name count by their value, and `latest` is the highest of all."""
    names = ["latest", "v1.10.0", "v1.9.0", "v1.9.0-rc.2", "2", "10", "main", "1.2.3.4.5", "_x9"]
    ordered = sorted(map(Tag, names), key=by_height, reverse=True)
    assert ordered[0] == "latest"
    assert ordered.index(Tag("v1.10.0")) < ordered.index(Tag("v1.9.0"))
    assert ordered.index(Tag("10")) < ordered.index(Tag("2"))
