import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.capacity.scene import CAPACITY, Scene
from tests.conftest import Opened
from tests.fills.in_process import in_process
from tests.support.command_line import proxima
from tests.support.hostile import HostileUpstream

Start = Callable[..., Scene]

__all__ = ["proxima"]


@pytest.fixture
def start(opened: Opened, upstream: HostileUpstream) -> Start:
    """Gives a function that starts a replica of ``upstream`` with these settings of its store."""

    def started(root: Path | None = None, **store: object) -> Scene:
        settings = {"capacity": CAPACITY, **store}
        return Scene(opened(in_process(upstream.url, root=root, store=settings)), upstream)

    return started


@pytest.fixture
def scene(start: Start) -> Scene:
    """A replica with room for ten blobs."""
    return start()


@pytest.fixture
def folder(opened: Opened) -> Path:
    """A folder for a store that outlives a replica; short, since a store has a unix socket."""
    return Path(opened(tempfile.TemporaryDirectory(prefix="store-"))) / "store"
