"""A replica of the hostile upstream whose callers' rights don't age, so that only tags do."""

import tempfile
from pathlib import Path

import pytest

from tests.conftest import Opened
from tests.fills.in_process import InProcess, in_process
from tests.support.hostile import HostileUpstream

NEVER_AGES = {"ttl": 1e9, "outage_grace": 2e9}


@pytest.fixture
def replica(upstream: HostileUpstream, opened: Opened) -> InProcess:
    """A replica of ``upstream`` with an empty store."""
    return opened(in_process(upstream.url, access=NEVER_AGES))


@pytest.fixture
def store(opened: Opened) -> Path:
    """A folder for a store that outlives a replica; short, since a store has a unix socket."""
    return Path(opened(tempfile.TemporaryDirectory(prefix="store-")))
