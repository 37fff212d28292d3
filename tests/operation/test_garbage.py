"""The collector of cycles holds up the loop for the same objects once."""

import gc

import pytest

from proxy.app import garbage
from proxy.app.garbage import long_collections_once


@pytest.fixture(autouse=True)
def _only_when_asked():
    """Let no collection begin by itself."""
    gc.disable()
    yield
    gc.enable()


def test_a_long_collection_sets_aside_what_survived(monkeypatch):
    """C30: what a full collection that took long has visited isn't visited by the next, and still
    goes with its last reference.
    """
    monkeypatch.setattr(garbage, "LONG_SECONDS", 0.0)
    gc.collect()
    try:
        with long_collections_once() as heard:
            held = [[number] for number in range(100_000)]
            gc.collect()
            assert heard.frozen
            assert gc.get_freeze_count() >= len(held)
            assert len(gc.get_objects()) < len(held)
            before = gc.get_freeze_count()
            del held
            assert gc.get_freeze_count() < before - 90_000
    finally:
        gc.unfreeze()
    gc.collect()
    assert gc.get_freeze_count() == 0, "the callback outlived the block"


def test_short_ones_and_younger_generations_change_nothing(monkeypatch):
    """What doesn't hold up the loop sets nothing aside."""
    with long_collections_once() as heard:
        monkeypatch.setattr(garbage, "LONG_SECONDS", 60.0)
        gc.collect()
        monkeypatch.setattr(garbage, "LONG_SECONDS", 0.0)
        gc.collect(0)
        gc.collect(1)
        assert not heard.frozen
