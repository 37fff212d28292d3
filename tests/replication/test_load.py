"""The load of a replica: a rate over the time between reports."""

from dataclasses import dataclass

from proxy.replication.load import SHORTEST_SECONDS, Load, LoadMeter
from tests.registry_store.ground import ManualClock


@dataclass(slots=True)
class Counted:
    """What others count."""

    connections: int = 0
    sent_bytes: int = 0


def test_the_rate_is_that_since_the_last_report(clock: ManualClock):
    """Bytes by seconds since it was read last; what follows at once sees the same average."""
    counted = Counted(sent_bytes=500)
    meter = LoadMeter(lambda: counted.connections, lambda: counted.sent_bytes, clock.now)
    assert meter.read() == Load(0, 0.0)
    counted.connections, counted.sent_bytes = 3, 4500
    clock.pass_(2)
    assert meter.read() == Load(3, 2000.0)
    counted.sent_bytes += 1_000_000
    clock.pass_(SHORTEST_SECONDS / 10)
    assert meter.read() == Load(3, 2000.0)
    clock.pass_(SHORTEST_SECONDS * 9.9)
    assert meter.read() == Load(3, 100_000.0)
    clock.pass_(2)
    assert meter.read() == Load(3, 0.0)
