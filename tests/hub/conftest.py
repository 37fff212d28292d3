"""Fixtures of the hub's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.hub.place import Place, running_hub


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A hub with the settings of a test."""
    async with running_hub(tmp_path) as running:
        yield running
