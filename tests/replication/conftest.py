"""What the tests of replication stand on: a clock set by hand and a log that can be read."""

from collections.abc import Iterator

import pytest

from tests.registry_store.ground import Heard, ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def heard() -> Iterator[Heard]:
    found = Heard()
    yield found
    found.close()
