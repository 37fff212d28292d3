"""C6: whoever waits for a fill was let in itself."""

import asyncio

import aiohttp
import pytest

from tests.support.accounts import PULL, Grant
from tests.support.hostile import BLOBS, Hold, Status
from tests.support.layers import random_layer
from tests.support.token_calls import basic_value
from tests.support.waiting import eventually

CALLERS = 200
SIZE = 1 << 20


@pytest.fixture
def layer():
    return random_layer(SIZE, "coalesced")


async def pull_all(url, logins):
    """Give what each login got for one blob, all asked for at once: status and body."""

    async def pull(session, login):
        async with session.get(url, headers=login) as reply:
            return reply.status, await reply.read()

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        return await asyncio.gather(*(pull(session, login) for login in logins))


def followers(world):
    return world.replica.metrics().value("proxima_followers")


async def test_waiters_without_a_right_get_no_byte(password_world, layer, accounts):
    """C6, T2: of many callers that wait for one cold blob half may not have it: they get the
    primary's refusal and none of its bytes, the others all of it, and it came over the link once.
    """
    world = password_world()
    world.upstream.contents.repository("alice/app").blobs[layer.digest] = layer.data
    users = [f"user{number}" for number in range(CALLERS)]
    logins = []
    for number, name in enumerate(users):
        may = [Grant("alice/app", PULL)] if number % 2 else [Grant("bob/app")]
        logins.append({"Authorization": basic_value(accounts.add(name, "secret", *may))})
    held = world.upstream.inject(Hold(), method="GET", path=BLOBS)
    url = f"{world.replica.url}/v2/alice/app/blobs/{layer.digest}"
    pulling = asyncio.create_task(pull_all(url, logins))
    await asyncio.to_thread(held.wait_fired)
    await eventually(lambda: followers(world) == CALLERS / 2)
    held.release()
    answers = await pulling
    for number, (status, body) in enumerate(answers):
        assert status == (200 if number % 2 else 403)
        assert (body == layer.data) == bool(number % 2)
        assert len(body) < 500 or number % 2
    assert world.upstream.count("GET", BLOBS) == 1
    assert world.upstream.sent_bytes(BLOBS) == SIZE
    assert world.upstream.count("HEAD", BLOBS) == CALLERS


async def test_a_waiter_outlives_the_leaders_credential(password_world, layer, accounts):
    """C6, settled 8: the fill goes on with a follower's credential when its leader's is refused."""
    world = password_world()
    world.upstream.contents.repository("shared/app").blobs[layer.digest] = layer.data
    url = f"{world.replica.url}/v2/shared/app/blobs/{layer.digest}"
    alice, bob = (
        {"Authorization": basic_value(accounts.credentials_of(name))} for name in ("alice", "bob")
    )
    refused = world.upstream.inject(Status(401), method="GET", path=BLOBS)
    held = world.upstream.inject(Hold(), method="GET", path=BLOBS)
    first = asyncio.create_task(pull_all(url, [alice]))
    await asyncio.to_thread(held.wait_fired)
    second = asyncio.create_task(pull_all(url, [bob]))
    await eventually(lambda: followers(world) == 2)
    held.release()
    assert refused.fired == 1
    [(status, body)] = await second
    assert (status, body) == (200, layer.data)
    [(status, body)] = await first
    assert status == 401
    assert layer.data not in body
    assert world.upstream.count("GET", BLOBS) == 2
