import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Opened, require
from tests.faults_disk.forking import Driver, running_driver
from tests.faults_disk.scene import Scene
from tests.support.hostile import HostileUpstream
from tests.support.replica import replica


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: what a kill leaves is the same, sooner."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="proxima-test-", dir=shared))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """A process that does the store's work in children of its own."""
    require("strace")
    with running_driver(tmp_path / "driver.log") as driver:
        yield driver


@pytest.fixture
def warm(upstream: HostileUpstream, opened: Opened) -> Iterator[Scene]:
    """A replica, a process of its own, that has content; it has to survive the test."""
    scene = Scene(opened(replica(upstream.url, tags={"ttl": "0s"})), upstream)
    scene.warm_up()
    yield scene
    assert scene.replica.process.is_running, "the process ended"
