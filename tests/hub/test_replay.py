"""`POST /v1/replay`: for one region alone, and of more events than one request does."""

import json
from pathlib import Path

import pytest

from hub.api import replay_routes
from tests.hub.api import Api, Document, serving_hub
from tests.hub.place import pushed

HERE, THERE = "ap-singapore", "ap-tokyo"


async def replay(api: Api, **wanted: object) -> Document:
    document: Document = (await api.ask("POST", "/v1/replay", wanted)).expect(200).document
    return document


async def logged(hub, after: int) -> list[tuple[str, str | None]]:
    """Give tag and region of what was logged after a number."""
    entries = await hub._log.read(after, hub._log.extent.head, 100_000)
    return [(json.loads(each.body)["tag"], each.region) for each in entries]


async def notices(api: Api, epoch: str, after: int, number: int, region: str) -> list[Document]:
    """Give what a stream sends."""
    headers = {"Authorization": f"Bearer {api.tokens[region]}"}
    found: list[Document] = []
    async with api.session.get(
        f"{api.url}/v1/events", params={"after": f"{epoch}:{after}"}, headers=headers
    ) as answer:
        async for line in answer.content:
            name, _, value = line.decode().partition(": ")
            if name == "data" and "event" in (data := json.loads(value)):
                found.append(data)
                if len(found) == number:
                    break
    return found


async def test_a_replay_is_for_one_region(hub, api):
    """What is replayed for a region says so on every stream, and what comes next doesn't."""
    await api.create(HERE)
    await api.create(THERE)
    await api.notify(pushed("v1"), pushed("v2"))
    assert await replay(api, region=THERE) == {"replayed": 2, "next": None, "upto": 2}
    await api.notify(pushed("v3"))
    assert await logged(hub, 2) == [("v1", THERE), ("v2", THERE), ("v3", None)]
    for region in (HERE, THERE):
        sent = await notices(api, hub._log.extent.epoch, 0, 5, region)
        assert [each.get("only") for each in sent] == [None, None, THERE, THERE, None]
        assert [each["event"]["tag"] for each in sent] == ["v1", "v2", "v1", "v2", "v3"]


async def test_what_one_region_was_told_again_is_not_replayed_for_others(hub, api):
    """A replay for all, or for another region, leaves out copies for one; its own has them."""
    await api.create(HERE)
    await api.create(THERE)
    await api.notify(pushed("v1"))
    await replay(api, region=THERE)
    assert (await replay(api, after=0))["replayed"] == 1
    assert (await replay(api, after=0, upto=2, region=HERE))["replayed"] == 1
    assert (await replay(api, after=0, upto=2, region=THERE))["replayed"] == 2
    assert [region for _, region in await logged(hub, 2)] == [None, HERE, THERE, THERE]


async def test_what_one_region_was_told_again_is_news_to_the_others(tmp_path):
    """An event that comes once more, past the time in which it is the same one, is logged, though
    one region was told of it in between.
    """
    async with serving_hub(tmp_path, events__dedupe_within="1h") as (hub, api):
        await api.create(THERE)
        await api.notify(pushed("v1"))
        api.clock.seconds += 3000
        await replay(api, region=THERE)
        api.clock.seconds += 3000
        await api.notify(pushed("v1"))
        assert await logged(hub, 0) == [("v1", None), ("v1", THERE), ("v1", None)]


@pytest.mark.parametrize("region", [HERE, "ap-atlantis", "all", "eu-frankfurt"])
async def test_a_region_without_a_replica(hub, api, region):
    """C5: nothing is replayed for a region that has no replica, or whose replica is deleted."""
    created = await api.create(HERE)
    await api.ask("DELETE", f"/v1/replicas/{created['id']}")
    await api.notify(pushed("v1"))
    refused = await api.ask("POST", "/v1/replay", {"region": region})
    assert (refused.expect(404).error["code"], hub._log.extent.head) == ("NOT_FOUND", 1)
    assert region in refused.error["message"]


async def test_the_others_lag_does_not_grow(api):
    """Unread events that are for one replica count for its lag alone."""
    await api.create(HERE)
    await api.create(THERE)
    await api.notify(pushed("v1"))
    epoch = (await api.ask("GET", "/v1/self", token=api.tokens[HERE])).document["epoch"]
    for region in (HERE, THERE):
        await api.report(region=region, status={"cursor": f"{epoch}:1"})
    await replay(api, region=THERE)
    api.clock.seconds += 30
    views = (await api.ask("GET", "/v1/replicas")).document["replicas"]
    assert {each["region"]: each["lag_seconds"] for each in views} == {HERE: 0.0, THERE: 30.0}


async def test_a_long_replay_comes_to_its_end(hub, api, monkeypatch):
    """More than is done at once goes on after `next` up to `upto`: each event once, in order, and
    none of those that are logged meanwhile.
    """
    monkeypatch.setattr(replay_routes, "MAX_REPLAYED", 10)
    await api.notify(*(pushed(f"v{number}") for number in range(25)))
    portions = [await replay(api, after=0)]
    await api.notify(pushed("meanwhile"))
    while portions[-1]["next"] is not None:
        last = portions[-1]
        portions.append(await replay(api, after=last["next"], upto=last["upto"]))
    assert [(each["replayed"], each["next"]) for each in portions] == [
        (10, 10),
        (10, 20),
        (5, None),
    ]
    told = [tag for tag, _ in await logged(hub, 25)]
    told.remove("meanwhile")
    assert told == [f"v{number}" for number in range(25)]


async def test_a_portion_that_was_trimmed_meanwhile(tmp_path, monkeypatch):
    """A replay whose next portion is no longer kept is told so, not that it is whole."""
    monkeypatch.setattr(replay_routes, "MAX_REPLAYED", 10)
    async with serving_hub(tmp_path, events__keep="1h") as (hub, api):
        await api.notify(*(pushed(f"v{number}") for number in range(25)))
        first = await replay(api, after=0)
        api.clock.seconds += 3601
        assert await hub._log.trim() > 0
        wanted = {"after": first["next"], "upto": first["upto"]}
        gone = await api.ask("POST", "/v1/replay", wanted)
        assert gone.expect(410).error["code"] == "CURSOR_GONE"


async def test_regions_are_kept_over_a_restart(tmp_path: Path):
    """For whom an event is stands in the database."""
    async with serving_hub(tmp_path) as (_, api):
        await api.create(THERE)
        await api.notify(pushed("v1"))
        await replay(api, region=THERE)
    async with serving_hub(tmp_path) as (hub, _):
        assert await logged(hub, 0) == [("v1", None), ("v1", THERE)]
