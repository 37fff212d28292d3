"""A push through the replica beside one that reaches the primary another way."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.replication.judged import JudgedWorld
from tests.replication.world import IMAGES, KEYS, QUIET_SECONDS
from tests.support.hostile import MANIFESTS, Hold
from tests.support.pushing import put_manifest
from tests.support.registry_client import RegistryClient
from tests.support.store_tree import tags
from tests.support.waiting import wait_until

KEY = KEYS[0]
REPOSITORY, TAG = KEY


@pytest.fixture
def world() -> Iterator[JudgedWorld]:
    world = JudgedWorld()
    try:
        world.open({KEY: "one", KEYS[1]: "three"})
        yield world
    finally:
        world.close()


def test_a_push_whose_answer_is_late(world: JudgedWorld) -> None:
    """C16, C17: a push through the replica whose answer comes when the tag has moved on, as an
    event told, doesn't take the tag back.
    """
    world.wait_current()
    world.wait_leased()
    world.wait_quiet()
    hold = world.upstream.inject(Hold(), method="PUT", path=MANIFESTS)
    client = RegistryClient(world.replica.url)
    with ThreadPoolExecutor(1) as pushing:
        put = pushing.submit(put_manifest, client, REPOSITORY, IMAGES["three"], TAG)
        try:
            hold.wait_fired()
            world.change(lambda: None)  # what the primary has accepted by now
            world.send(world.push(KEY, "two") | {"source": {"id": "later"}})
            wait_until(
                lambda: tags(world.replica.store, REPOSITORY).get(TAG) == IMAGES["two"].digest,
                QUIET_SECONDS,
                "the copy",
            )
            assert world.pull(KEY) == IMAGES["two"].digest
        finally:
            world.upstream.heal()
        assert put.result(10).status == 201
    assert world.pull(KEY) == IMAGES["two"].digest
    world.check_converged()
