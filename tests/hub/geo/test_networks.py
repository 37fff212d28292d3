"""Networks linked to regions: the rules, what replicas are told, and that restarts keep them."""

import asyncio

import pytest
from sqlalchemy import insert

from hub.geo.errors import MAX_NETWORKS
from hub.geo.tables import linked_networks
from tests.hub.api import serving_hub
from tests.hub.geo.catalogues import JAKARTA, SINGAPORE, catalogue_file
from tests.support.waiting import eventually

NETWORK = "10.9.0.0/16"


async def link(api, network: str = NETWORK, region: str = SINGAPORE):
    return await api.ask("POST", "/v1/networks", {"region": region, "network": network})


async def linked(api, query: str = "") -> list[tuple[str, str]]:
    found = (await api.ask("GET", f"/v1/networks{query}")).expect(200).document["networks"]
    return [(each["region"], each["network"]) for each in found]


async def test_linked_listed_unlinked(api):
    """A network is linked to a region, listed with it, and taken away by its path."""
    made = (await link(api)).expect(201)
    assert made.document == {
        "region": SINGAPORE,
        "network": NETWORK,
        "linked_at": api.clock.seconds,
    }
    await link(api, "2001:db8:9::/48", JAKARTA)
    await link(api, NETWORK, JAKARTA)  # a block may be a client of several regions
    assert await linked(api, f"?region={SINGAPORE}") == [(SINGAPORE, NETWORK)]
    assert len(await linked(api)) == 3
    (await api.ask("DELETE", made.headers["Location"])).expect(204)
    (await api.ask("DELETE", f"/v1/networks/{JAKARTA}/2001:db8:9::%2F48")).expect(204)
    assert await linked(api) == [(JAKARTA, NETWORK)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"region": SINGAPORE, "network": "10.9.0.1/16"}, 400, "NETWORK_INVALID"),
        ({"region": SINGAPORE, "network": "10.9.0.0"}, 400, "NETWORK_INVALID"),
        ({"region": SINGAPORE, "network": "::ffff:10.9.0.0/112"}, 400, "NETWORK_INVALID"),
        ({"region": SINGAPORE, "network": "fe80::%eth0/64"}, 400, "NETWORK_INVALID"),
        ({"region": SINGAPORE, "network": "10.9.0.0/33"}, 400, "NETWORK_INVALID"),
        ({"region": SINGAPORE, "network": ""}, 400, "NETWORK_INVALID"),
        ({"region": SINGAPORE, "network": "x\\n" * 40}, 400, "INVALID"),
        ({"region": SINGAPORE, "network": 10}, 400, "INVALID"),
        ({"region": SINGAPORE}, 400, "INVALID"),
        ({"region": SINGAPORE, "network": NETWORK, "more": 1}, 400, "INVALID"),
        ({"region": "nowhere", "network": NETWORK}, 400, "UNKNOWN_REGION"),
        ([], 400, "INVALID"),
    ],
)
async def test_what_is_no_network_of_a_region_is_refused(api, body, status, code):
    """Blocks with host bits, IPv4 written as IPv6, unknown regions: nothing is linked."""
    refused = await api.ask("POST", "/v1/networks", body)
    assert refused.expect(status).error["code"] == code
    assert await linked(api) == []


async def test_what_isnt_linked_cant_be_unlinked(api):
    """A second link of the same is a conflict, as is none to take away (404)."""
    await link(api)
    assert (await link(api)).expect(409).error["code"] == "ALREADY_LINKED"
    for path in (f"{JAKARTA}/10.9.0.0_16", f"{SINGAPORE}/10.9.0.0_17", "nowhere/10.9.0.0_16"):
        assert (await api.ask("DELETE", f"/v1/networks/{path}")).expect(404).error["code"]
    wrong = await api.ask("DELETE", f"/v1/networks/{SINGAPORE}/10.9.0.1_16")
    assert wrong.expect(400).error["code"] == "NETWORK_INVALID"
    assert await linked(api) == [(SINGAPORE, NETWORK)]


async def test_there_is_an_end_to_networks(hub, api):
    """10,000 networks may be linked in all."""
    rows = [
        {"region": JAKARTA, "network": f"10.{n // 256}.{n % 256}.0/24", "linked_at": 1.0}
        for n in range(MAX_NETWORKS - 1)
    ]
    await hub._database.write(lambda connection: connection.execute(insert(linked_networks), rows))
    (await link(api, "192.0.2.0/24")).expect(201)
    assert (await link(api, "198.51.100.0/24")).expect(409).error["code"] == "TOO_MANY_NETWORKS"
    assert len(await linked(api)) == MAX_NETWORKS
    await api.create(JAKARTA)
    told = await api.ask("GET", "/v1/self", token=api.tokens[JAKARTA])
    assert len(told.expect(200).document["networks"]) == MAX_NETWORKS - 1


async def test_a_replica_is_told_its_networks(api):
    """What is linked to its region changes what a replica is told of itself, and its ETag alone."""
    await api.create(SINGAPORE)
    await api.create(JAKARTA)

    async def told(region: str):
        reply = await api.ask("GET", "/v1/self", token=api.tokens[region])
        return reply.expect(200).document["networks"], reply.headers["ETag"]

    nothing, etag = await told(SINGAPORE)
    other = await told(JAKARTA)
    assert nothing == []
    await link(api)
    networks, changed = await told(SINGAPORE)
    assert networks == [NETWORK]
    assert changed != etag
    assert await told(JAKARTA) == other
    await api.ask("DELETE", f"/v1/networks/{SINGAPORE}/10.9.0.0_16")
    assert await told(SINGAPORE) == ([], etag)


async def test_a_replica_hears_at_once_that_its_networks_changed(api):
    """The stream of the region's replica, and of no other, says that its settings have changed."""
    await api.create(SINGAPORE)
    await api.create(JAKARTA)
    heard: dict[str, list[str]] = {SINGAPORE: [], JAKARTA: []}

    async def follow(region: str) -> None:
        epoch = (await api.ask("GET", "/v1/self", token=api.tokens[region])).document["epoch"]
        headers = {"Authorization": f"Bearer {api.tokens[region]}"}
        target = f"{api.url}/v1/events?after={epoch}:0"
        async with api.session.get(target, headers=headers) as stream:
            async for line in stream.content:
                if line.startswith(b"event: "):
                    heard[region].append(line.split()[1].decode())

    following = [asyncio.create_task(follow(region)) for region in heard]
    try:
        await eventually(lambda: all(heard.values()))
        await link(api)
        await eventually(lambda: heard[SINGAPORE].count("settings") == 1)
        await api.ask("DELETE", f"/v1/networks/{SINGAPORE}/10.9.0.0_16")
        await eventually(lambda: heard[SINGAPORE].count("settings") == 2)
        assert "settings" not in heard[JAKARTA]
    finally:
        for each in following:
            each.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def test_networks_and_drains_outlive_a_restart(tmp_path):
    """What operators said of regions is there after a restart, and the revision is the same."""
    path = str(catalogue_file(tmp_path))
    async with serving_hub(tmp_path, geo__catalogue=path) as (_, api):
        await link(api)
        await api.ask("POST", f"/v1/regions/{JAKARTA}/drain")
        before = (await api.ask("GET", "/v1/geo")).expect(200).document
    async with serving_hub(tmp_path, geo__catalogue=path) as (_, api):
        assert await linked(api) == [(SINGAPORE, NETWORK)]
        assert (await api.ask("GET", "/v1/geo")).document == before
        assert before["standings"][JAKARTA] == "drained"


async def test_without_a_catalogue_there_are_networks_alone(tmp_path):
    """A hub without a catalogue links networks to regions that have a replica, and says of all else
    that there is no catalogue.
    """
    async with serving_hub(tmp_path) as (_, api):
        assert (await link(api)).expect(400).error["code"] == "UNKNOWN_REGION"
        await api.create(SINGAPORE)
        (await link(api)).expect(201)
        told = await api.ask("GET", "/v1/self", token=api.tokens[SINGAPORE])
        assert told.document["networks"] == [NETWORK]
        for method, path in (
            ("GET", "/v1/geo"),
            ("GET", "/v1/regions"),
            ("POST", f"/v1/regions/{SINGAPORE}/drain"),
            ("POST", f"/v1/regions/{SINGAPORE}/resume"),
            ("GET", "/v1/explain?reference=shop/api&from=10.9.0.1"),
        ):
            (await api.ask(method, path, token=None)).expect(401)
            assert (await api.ask(method, path)).expect(409).error["code"] == "NO_CATALOGUE"
