"""A replica of the hostile upstream."""

import tempfile
from pathlib import Path

import pytest

from proxy.registry import breaks
from tests.conftest import Opened
from tests.fills.in_process import InProcess, in_process
from tests.fills.large import layer, path
from tests.support.hostile import HostileUpstream

__all__ = ["layer", "path"]


@pytest.fixture
def replica(upstream: HostileUpstream, opened: Opened) -> InProcess:
    """A replica of ``upstream`` with default settings and an empty store."""
    return opened(in_process(upstream.url))


@pytest.fixture
def store(opened: Opened) -> Path:
    """A folder for a store that outlives a replica; short, since a store has a unix socket."""
    return Path(opened(tempfile.TemporaryDirectory(prefix="store-")))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses after breaks, of which tests have many."""
    monkeypatch.setattr(breaks, "WAIT_AFTER_BREAK_SECONDS", (0.0, 0.02, 0.05))
