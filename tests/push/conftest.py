"""A replica of the hostile upstream, and one before a real docker-registry."""

import pytest

from tests.conftest import Opened
from tests.fills.in_process import InProcess, in_process
from tests.support.hostile import HostileUpstream
from tests.support.recording_relay import Relay


@pytest.fixture
def replica(upstream: HostileUpstream, opened: Opened) -> InProcess:
    """A replica of ``upstream`` with default settings and an empty store."""
    return opened(in_process(upstream.url))


@pytest.fixture
def real(relay: Relay, opened: Opened) -> InProcess:
    """A replica of a docker-registry, whose link to it is recorded by ``relay``."""
    return opened(in_process(relay.url))
