"""Fixtures for tests of the command line."""

from collections.abc import Iterator

import pytest

from tests.support import images
from tests.support.command_line import proxima
from tests.support.hostile import HostileUpstream
from tests.web.serving import Serving, serving

REPOSITORY = "team/app"


__all__ = ["proxima"]


@pytest.fixture
def served(upstream: HostileUpstream) -> Iterator[Serving]:
    """A replica that runs, with an image at its primary."""
    upstream.contents.add(REPOSITORY, images.multi_platform("explained"), "v1")
    with serving(upstream) as running:
        yield running
