"""Replica instances over the hub's API: their making, what they are told, their end."""

import sqlite3
from asyncio import gather
from pathlib import Path

import pytest

from hub.instances.primary import PrimaryMoved
from hub.regions import Regions
from tests.hub.api import entry, serving_hub
from tests.support.waiting import eventually

ID = "registry-fra-9"


async def test_a_replica_is_made(api, tmp_path):
    """A new replica has an id of primary and region, and a token of which only a hash is kept."""
    created = await api.create()
    assert (created["id"], created["region"]) == (ID, "ap-singapore")
    told = await api.ask("GET", "/v1/self", token=created["token"])
    assert told.expect(200).document["replica"]["id"] == ID
    shown = await api.ask("GET", f"/v1/replicas/{ID}")
    assert shown.expect(200).document["state"] == "Pending"
    listed = await api.ask("GET", "/v1/replicas")
    assert [each["id"] for each in listed.document["replicas"]] == [ID]
    assert created["token"] not in shown.text + listed.text
    assert created["token"].encode() not in (tmp_path / "hub.db").read_bytes()
    with sqlite3.connect(f"file:{tmp_path}/hub.db?mode=ro", uri=True) as database:
        (kept,) = database.execute("SELECT token_hash FROM replicas").fetchone()
    database.close()
    assert len(kept) == 64


@pytest.mark.parametrize(
    ("region", "status", "code", "words"),
    [
        ("eu-frankfurt", 409, "REGION_OF_PRIMARY", "eu-frankfurt"),
        ("ap-singapore", 409, "REPLICA_EXISTS", ID),
        ("ap-atlantis", 400, "UNSUPPORTED_REGION", "ap-atlantis"),
        ("", 400, "INVALID", "region"),
        ("a b", 400, "INVALID", "region"),
    ],
)
async def test_rules_of_regions(api, region, status, code, words):
    """A replica is in a region that is known, isn't the primary's, and has none yet."""
    await api.create()
    refused = await api.ask("POST", "/v1/replicas", {"region": region})
    assert refused.expect(status).error["code"] == code
    assert words in refused.error["message"]
    listed = (await api.ask("GET", "/v1/replicas")).document["replicas"]
    assert [each["id"] for each in listed] == [ID]


async def test_two_at_once_make_one_replica(api):
    """Of two requests at once for one region, one makes the replica and one is told so."""
    both = await gather(
        *(api.ask("POST", "/v1/replicas", {"region": "ap-tokyo"}) for _ in range(2))
    )
    assert sorted(each.status for each in both) == [201, 409]


def test_regions_of_ones_own():
    """Settings add regions, but no name or number twice."""
    assert Regions(["dc-east=9001"]).number_of("dc-east") == 9001
    for twice in (["dc-east=9"], ["ap-tokyo=9001"], ["a=9001", "b=9001"]):
        with pytest.raises(ValueError, match=r"replicas\.regions"):
            Regions(twice)


async def test_deletion_drains_first(api):
    """A replica that is deleted may follow no more, is heard until it drained, and is revoked."""
    await api.create()
    (await api.report()).expect(200)
    assert await api.state(ID) == "Running"
    deleted = await api.ask("DELETE", f"/v1/replicas/{ID}")
    assert deleted.expect(202).document["state"] == "Draining"
    token = api.tokens["ap-singapore"]
    for method, path in (("GET", "/v1/self"), ("GET", f"/v1/events?after={'0' * 16}:0")):
        refused = await api.ask(method, path, token=token)
        assert refused.expect(403).error["code"] == "DENIED"
        assert refused.error["detail"] == {"state": "Draining"}
    taken = await api.ask("POST", "/v1/replicas", {"region": "ap-singapore"})
    assert taken.expect(409).error["code"] == "REPLICA_EXISTS"

    (await api.report(status={"state": "draining"})).expect(200)
    assert await api.state(ID) == "Draining"
    (await api.report(status={"state": "drained"})).expect(200)
    assert await api.state(ID) == "Deleted"
    assert (await api.report()).expect(403).error["detail"] == {"state": "Deleted"}


async def test_a_replica_that_is_never_heard_of_again_is_deleted_in_time(hub, api):
    """Draining ends with its limit, and what was deleted is forgotten after its own."""
    await api.create()
    (await api.report()).expect(200)
    await api.ask("DELETE", f"/v1/replicas/{ID}")
    api.clock.seconds += 601
    assert await api.state(ID) == "Deleted"
    await hub._regional.instances.sweep()
    api.clock.seconds += 86_401
    await hub._regional.instances.sweep()
    assert (await api.ask("GET", f"/v1/replicas/{ID}")).status == 404
    refused = await api.ask("GET", "/v1/self", token=api.tokens["ap-singapore"])
    assert refused.expect(401).error["code"] == "UNAUTHORIZED"


async def test_one_that_never_came_is_deleted_at_once_and_its_region_is_free(api):
    """A replica that never reported has nothing to drain; the next one there has another token."""
    first = await api.create()
    deleted = await api.ask("DELETE", f"/v1/replicas/{ID}")
    assert deleted.expect(200).document["state"] == "Deleted"
    assert (await api.ask("GET", "/v1/self", token=first["token"])).status == 403
    second = await api.create()
    assert second["id"] == first["id"]
    assert (await api.ask("GET", "/v1/self", token=first["token"])).status == 401
    assert (await api.ask("GET", "/v1/self", token=second["token"])).status == 200


async def test_a_stream_ends_with_its_replica(api):
    """Deleting a replica ends the stream it has."""
    await api.create()
    (await api.report()).expect(200)
    told = (await api.ask("GET", "/v1/self", token=api.tokens["ap-singapore"])).document
    async with api.session.get(
        f"{api.url}/v1/events?after={told['epoch']}:{told['head']}",
        headers={"Authorization": f"Bearer {api.tokens['ap-singapore']}"},
    ) as stream:
        assert stream.status == 200
        assert b"heartbeat" in await stream.content.readline()
        await api.ask("DELETE", f"/v1/replicas/{ID}")
        assert b"notice" not in await stream.content.read()


async def test_silence_and_return(api):
    """A replica that stops to report is Unreachable, and Running again with its next report."""
    await api.create()
    (await api.report(status={"state": "backfilling"})).expect(200)
    assert await api.state(ID) == "Backfilling"
    api.clock.seconds += 61
    assert await api.state(ID) == "Unreachable"
    (await api.report()).expect(200)
    assert await api.state(ID) == "Running"


async def test_the_primary_stays_while_replicas_do(api):
    """Deleting the primary names the replicas that are in the way; without them it goes."""
    await api.create()
    await api.create("ap-tokyo")
    refused = await api.ask("DELETE", "/v1/primary")
    assert refused.expect(409).error["code"] == "HAS_REPLICAS"
    for name in (ID, "registry-fra-25"):
        assert name in refused.error["message"]
        await api.ask("DELETE", f"/v1/replicas/{name}")
    assert (await api.ask("DELETE", "/v1/primary")).status == 204
    assert (await api.ask("GET", "/v1/primary")).status == 404
    refused = await api.ask("POST", "/v1/replicas", {"region": "ap-seoul"})
    assert refused.expect(409).error["code"] == "NO_PRIMARY"


async def test_settings_move_no_primary_away_from_its_replicas(tmp_path):
    """A hub doesn't start with another primary, or one in a replica's region."""
    async with serving_hub(tmp_path) as (_, api):
        await api.create()
    for other in ({"primary__id": "other"}, {"primary__region": "ap-singapore"}):
        with pytest.raises(PrimaryMoved, match=ID):
            async with serving_hub(tmp_path, **other):
                pass
    async with serving_hub(tmp_path) as (_, api):
        assert await api.state(ID) == "Pending"


async def test_what_a_replica_is_told(api):
    """A replica learns domain, primary, filters and limits; its ETag changes with these alone."""
    created = await api.create(replication={"repositories": ["shop/**"], "backfill": {"newest": 3}})
    token = created["token"]
    first = await api.ask("GET", "/v1/self", token=token)
    told = first.expect(200).document
    assert told["primary"]["domain"] == "registry.example.com"
    assert told["replication"]["repositories"] == ["shop/**"]
    assert told["replication"]["backfill"] == {"policy": "all", "newest": 3}
    assert told["replication"]["tags"] == ["**"]
    assert told["verify_every_seconds"] == 60

    async def again(etag):
        return await api.ask("GET", "/v1/self", token=token, headers={"If-None-Match": etag})

    event = {
        "version": 1,
        "event": "tag.deleted",
        "repository": "shop/api",
        "tag": "1",
        "source": {"sender": "plain", "id": "1"},
    }
    await api.notify(event)
    assert (await again(first.headers["ETag"])).status == 304
    changed = await api.ask(
        "PATCH", f"/v1/replicas/{created['id']}", {"replication": {"concurrent": 2}}
    )
    assert changed.expect(200).document["replication"]["concurrent"] == 2
    anew = await again(first.headers["ETag"])
    assert anew.expect(200).document["replication"]["repositories"] == ["**"]
    assert anew.document["head"] == told["head"] + 1


async def test_lag_and_metrics_by_region(hub, api):
    """Lag counts what a replica hasn't read; each region with a replica has its series."""
    await api.create()
    told = (await api.ask("GET", "/v1/self", token=api.tokens["ap-singapore"])).document
    event = {
        "version": 1,
        "event": "manifest.pushed",
        "repository": "shop/api",
        "tag": "1",
        "source": {"sender": "plain", "id": "1"},
    }
    await api.notify(event)
    cursor = f"{told['epoch']}:{told['head']}"
    (await api.report(status={"cursor": cursor, "queue": 3, "bytes_behind": 7})).expect(200)
    api.clock.seconds += 20
    shown = await api.ask("GET", f"/v1/replicas/{ID}")
    assert shown.document["lag_seconds"] == 20

    host, port = hub.ops_address

    async def metrics():
        async with api.session.get(f"http://{host}:{port}/metrics") as response:
            return await response.text()

    await hub._regional._look()
    text = await metrics()
    for line in (
        'proxima_hub_replica_lag_seconds{region="ap-singapore"} 20.0',
        'proxima_hub_replica_queue{region="ap-singapore"} 3.0',
        'proxima_hub_replica_bytes_behind{region="ap-singapore"} 7.0',
        'proxima_hub_replicas{state="Running"} 1.0',
        'proxima_hub_replicas{state="Unreachable"} 0.0',
    ):
        assert line in text
    (await api.report(status={"cursor": f"{told['epoch']}:{told['head'] + 1}"})).expect(200)
    shown = await api.ask("GET", f"/v1/replicas/{ID}")
    assert shown.document["lag_seconds"] == 0


async def test_arrivals_are_counted_once(hub, api):
    """The time from event to complete is counted when an entry becomes complete, and only then: not
    when it is complete once more after an eviction.
    """
    await api.create()
    await hub._regional._look()
    times = {"event_at": 100.0, "started_at": 101.0}
    for state, more in (("running", {}), ("complete", {"ended_at": 103.5})):
        for _ in range(2):
            (await api.report(entry(state=state, **times, **more))).expect(200)
    for state, ended_at in (("evicted", 103.5), ("complete", 9_000.0)):  # it came back by a pull
        (await api.report(entry(state=state, **times, ended_at=ended_at))).expect(200)
    (await api.report(entry(id="other", trigger="pull", ended_at=900.0, **times))).expect(200)
    text = hub._telemetry.metrics.exposition().decode()
    assert 'proxima_hub_arrival_seconds_count{region="ap-singapore"} 1.0' in text
    assert 'proxima_hub_arrival_seconds_sum{region="ap-singapore"} 3.5' in text


def lines_of(folder: Path, event: str) -> str:
    """Give the lines of the log that are of one event."""
    lines = (folder / "hub.jsonl").read_text().splitlines()
    return "\n".join(line for line in lines if f'"event":"{event}"' in line)


async def test_states_are_logged(api, tmp_path, hub):
    """A replica whose state changes is a line of the log."""
    await api.create()
    await hub._regional._look()
    (await api.report()).expect(200)
    await hub._regional._look()
    text = await eventually(lambda: lines_of(tmp_path, "replica.state"))
    assert '"state":"Running","before":"Pending"' in text


async def test_what_operators_do_is_logged(api, tmp_path):
    """Making, changing and deleting an instance are lines of the log, without the token."""
    created = await api.create()
    await api.ask("PATCH", f"/v1/replicas/{ID}", {"replication": {"concurrent": 2}})
    await api.ask("DELETE", f"/v1/replicas/{ID}")
    await api.ask("DELETE", "/v1/primary")
    for event in ("replica.created", "replica.changed", "replica.deleted", "primary.deleted"):
        text = await eventually(lambda event=event: lines_of(tmp_path, event))
        assert '"client":"127.0.0.1"' in text
        assert created["token"] not in text
