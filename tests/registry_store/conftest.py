from collections.abc import AsyncIterator, Iterator

import pytest

from proxy.registry.tree import Tree
from tests.registry_store.ground import Ground, Heard, ManualClock, MemoryPrimary, opened_ground


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    yield heard
    heard.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def tree(tmp_path, heard) -> AsyncIterator[Tree]:
    """An open tree with nothing in it."""
    tree = Tree(tmp_path / "store", heard.telemetry)
    await tree.open()
    yield tree
    await tree.close()


@pytest.fixture
async def ground(tmp_path, heard) -> AsyncIterator[Ground]:
    """An open store with a fill from a primary in memory."""
    async with opened_ground(tmp_path / "store", MemoryPrimary(), heard) as ground:
        yield ground
