"""A hub that runs in the test's loop."""

from pathlib import Path

import pytest

from tests.support.hub_api import serving_hub


@pytest.fixture
async def served(tmp_path: Path):
    """A hub and requests to it."""
    async with serving_hub(tmp_path) as both:
        yield both


@pytest.fixture
def hub(served):
    return served[0]


@pytest.fixture
def api(served):
    return served[1]
