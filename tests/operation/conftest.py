"""Fixtures for tests of the command line."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import images
from tests.support.command_line import proxima
from tests.support.hostile import HostileUpstream
from tests.web.serving import Serving, serving

REPOSITORY = "team/app"
MEMORY = Path("/dev/shm")  # a folder of our own below it


__all__ = ["proxima"]


@pytest.fixture
def served(upstream: HostileUpstream) -> Iterator[Serving]:
    """A replica that runs, with an image at its primary."""
    upstream.contents.add(REPOSITORY, images.multi_platform("explained"), "v1")
    with serving(upstream) as running:
        yield running


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder in memory, where the system has one: for what is many and small."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)
