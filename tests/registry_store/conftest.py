from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from proxy.registry.sidecar import Sidecar
from proxy.registry.store import Store
from proxy.registry.tree import Tree
from tests.registry_store.ground import Ground, Heard, ManualClock, MemoryPrimary, opened_ground
from tests.registry_store.stores import opened_store


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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the sidecar lies."""
    return tmp_path / "proxima.sqlite"


@pytest.fixture
async def sidecar(path: Path) -> AsyncIterator[Sidecar]:
    """An open sidecar with nothing in it."""
    sidecar = Sidecar(path)
    await sidecar.open()
    yield sidecar
    await sidecar.close()


@pytest.fixture
async def store(tree: Tree) -> AsyncIterator[Store]:
    """A store over the tree; no descriptor is left at its end."""
    async with opened_store(tree) as store:
        yield store


@pytest.fixture
async def fresh(tree: Tree) -> AsyncIterator[Store]:
    """A store over the same tree that has read nothing yet, as after a start."""
    async with opened_store(tree) as store:
        yield store
