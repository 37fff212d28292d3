"""Fixtures: a hub with a catalogue whose regions nobody probes, and requests to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.app import Hub
from tests.hub.api import Api, serving_hub
from tests.hub.geo.catalogues import catalogue_file

GEO_TOKEN = "7d1b3a5f9c2e4860a1b2c3d4e5f60718"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Hub, Api]]:
    path = str(catalogue_file(tmp_path))
    async with serving_hub(tmp_path, geo__catalogue=path, geo__reread="100ms") as both:
        yield both
