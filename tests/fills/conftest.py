"""A replica of the hostile upstream."""

import pytest

from tests.conftest import Opened
from tests.fills.in_process import InProcess, in_process
from tests.support.hostile import HostileUpstream


@pytest.fixture
def replica(upstream: HostileUpstream, opened: Opened) -> InProcess:
    """A replica of ``upstream`` with default settings and an empty store."""
    return opened(in_process(upstream.url))
