"""Many pulls at once cost the link one: nobody waits for another's end, all get what is right."""

import asyncio

import pytest

from tests.conftest import Opened
from tests.fills.calls import blob_path, call, causes, get, head, manifest_path
from tests.fills.crowd import Pulled, pull_all
from tests.fills.in_process import InProcess, in_process
from tests.support.accounts import PULL, Accounts, Grant
from tests.support.hostile import BLOBS, BasicLogin, Hold, HostileUpstream, Settings, Stall
from tests.support.images import big_image, multi_platform
from tests.support.layers import random_blob
from tests.support.token_calls import basic_value
from tests.support.waiting import eventually

CROWD = 100


def in_flight(replica: InProcess) -> int:
    return replica.replica._gate.in_flight


def assert_all(found: list[Pulled], data: bytes) -> None:
    assert [each.status for each in found] == [200] * len(found)
    assert all(each.is_complete and each.body == data for each in found)


async def test_one_blob_for_a_crowd(upstream: HostileUpstream, replica: InProcess) -> None:
    """C7: 100 simultaneous cold pulls of one blob are one GET, and each begins before the end."""
    content = upstream.contents.add_blob("app", random_blob(300_000, "crowd"))
    path = blob_path("app", content.digest)
    stall = upstream.inject(Stall(150_000), method="GET", path=BLOBS)
    with causes(upstream, head(path), get(path)):
        pulls = asyncio.create_task(pull_all(replica.address, [path] * CROWD))
        fill = replica.replica._chain.fill
        await eventually(lambda: stall.fired and fill.followers == CROWD)
        stall.release()
        found = await pulls
    assert_all(found, content.data)
    assert upstream.sent_bytes(BLOBS) == len(content.data)


async def test_one_image_for_a_crowd(upstream: HostileUpstream, replica: InProcess) -> None:
    """C7: 30 simultaneous cold pulls of an image cost one GET for each manifest and blob."""
    image = upstream.contents.add("app", big_image(600_000, 3), "v1")
    tag = manifest_path("app", "v1")
    hold = upstream.inject(Hold(), method="GET", path=tag)
    pulls = asyncio.create_task(pull_all(replica.address, [tag] * 30))
    await eventually(lambda: hold.fired and in_flight(replica) == 30)
    hold.release()
    assert_all(await pulls, image.data)
    blobs = {blob_path("app", each.digest): each.data for each in image.all_blobs()}
    found = await pull_all(replica.address, [*blobs] * 30)
    for number, data in enumerate(blobs.values()):
        assert_all(found[number :: len(blobs)], data)
    replica.wait_idle()
    assert sorted(map(call, upstream.seen[1:])) == sorted([head(tag), get(tag), *map(get, blobs)])


async def test_one_manifest_for_a_crowd(upstream: HostileUpstream, replica: InProcess) -> None:
    """C7: simultaneous pulls of one manifest by digest are one GET."""
    index = upstream.contents.add("app", multi_platform())
    path = manifest_path("app", index.digest)
    hold = upstream.inject(Hold(), method="GET", path=path)
    with causes(upstream, head(path), get(path)):
        pulls = asyncio.create_task(pull_all(replica.address, [path] * CROWD))
        await eventually(lambda: hold.fired and in_flight(replica) == CROWD)
        hold.release()
        assert_all(await pulls, index.data)


async def test_fills_at_once_are_bounded(opened: Opened, upstream: HostileUpstream) -> None:
    """No more than `max_concurrent` blobs are fetched at once; the others follow, none is lost."""
    replica = opened(in_process(upstream.url, fill={"max_concurrent": 2}))
    contents = [
        upstream.contents.add_blob("app", random_blob(50_000, f"one of {number}"))
        for number in range(6)
    ]
    stall = upstream.inject(Stall(10_000), method="GET", path=BLOBS, times=2)
    paths = [blob_path("app", each.digest) for each in contents]
    pulls = asyncio.create_task(pull_all(replica.address, paths))
    await eventually(lambda: stall.fired == 2 and replica.flights == 6)
    assert upstream.count("GET", BLOBS) == 2
    stall.release()
    assert [each.body for each in await pulls] == [each.data for each in contents]


async def test_a_flight_is_joined_from_another_repository(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """A pull of the same blob in another repository joins once the primary has confirmed it there;
    both repositories have it then.
    """
    content = random_blob(300_000, "shared")
    paths = [blob_path(name, content.digest) for name in ("app", "other")]
    for name in ("app", "other"):
        upstream.contents.add_blob(name, content)
    stall = upstream.inject(Stall(100_000), method="GET", path=BLOBS)
    with causes(upstream, head(paths[0]), get(paths[0]), head(paths[1]), head(paths[1])):
        first = asyncio.create_task(pull_all(replica.address, paths[:1]))
        await eventually(lambda: stall.fired)
        second = asyncio.create_task(pull_all(replica.address, paths[1:]))
        await eventually(lambda: replica.replica._chain.fill.followers == 2)
        stall.release()
        assert_all(await first + await second, content.data)
    replica.wait_idle()
    with causes(upstream):
        assert_all(await pull_all(replica.address, paths), content.data)


async def test_a_flight_gives_nothing_to_a_repository_without_the_blob(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """C4: while a blob is on its way for one repository, another that lacks it gets 404."""
    content = upstream.contents.add_blob("app", random_blob(300_000, "private"))
    upstream.contents.add_blob("other", random_blob(10, "something"))
    stall = upstream.inject(Stall(100_000), method="GET", path=BLOBS)
    first = asyncio.create_task(pull_all(replica.address, [blob_path("app", content.digest)]))
    await eventually(lambda: stall.fired)
    (refused,) = await pull_all(replica.address, [blob_path("other", content.digest)])
    assert refused.status == 404
    stall.release()
    assert_all(await first, content.data)


@pytest.mark.parametrize("part", ["GET", "HEAD"])
async def test_a_crowd_of_strangers_gets_nothing(
    opened: Opened, upstream: HostileUpstream, part: str
) -> None:
    """C6: 100 callers of whom half may not pull: half get the blob, half get 0 bytes of it."""
    accounts = Accounts()
    names = [f"user-{number}" for number in range(40)]
    for number, name in enumerate(names):
        accounts.add(name, "secret", *([Grant("app", PULL)] if number % 2 else []))
    upstream.settings = Settings(login=BasicLogin(accounts))
    content = upstream.contents.add_blob("app", random_blob(200_000, "mixed"))
    replica = opened(in_process(upstream.url))
    path = blob_path("app", content.digest)
    hold = upstream.inject(Hold(), method=part, path=path)
    headers = [{"Authorization": basic_value(accounts.credentials_of(name))} for name in names]
    pulls = asyncio.gather(*(pull_all(replica.address, [path], each) for each in headers))
    await eventually(lambda: hold.fired)
    hold.release()
    found = [one for (one,) in await pulls]
    assert [each.status for each in found] == [403, 200] * 20
    assert_all(found[1::2], content.data)
    assert not any(content.data[:1000] in each.body for each in found[0::2])
    assert upstream.count("GET", path) == 1
