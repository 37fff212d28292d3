"""Fixtures of the hub's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.app import Hub
from tests.hub.api import Api, serving_hub
from tests.hub.place import Place, running_hub


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A hub with the settings of a test."""
    async with running_hub(tmp_path) as running:
        yield running


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Hub, Api]]:
    """A hub whose clock stands still, and requests to it."""
    async with serving_hub(tmp_path) as both:
        yield both


@pytest.fixture
def hub(served: tuple[Hub, Api]) -> Hub:
    return served[0]


@pytest.fixture
def api(served: tuple[Hub, Api]) -> Api:
    return served[1]
