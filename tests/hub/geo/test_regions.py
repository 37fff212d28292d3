"""Regions over REST: seen, drained, and told to DNS servers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from geo.reading import catalogue_of
from hub.app import Hub
from tests.hub.api import Api, serving_hub
from tests.hub.geo.catalogues import (
    ADDRESSES,
    FRANKFURT,
    JAKARTA,
    NETWORKS,
    SINGAPORE,
    catalogue_file,
)
from tests.hub.place import SENDER_SECRET
from tests.support.waiting import eventually

DNS_TOKEN, NEXT_TOKEN = "7d1b3a5f9c2e4860a1b2c3d4e5f60718", "0f9e8d7c6b5a49382716051403f2e1d0"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Hub, Api]]:
    """A hub whose DNS servers have tokens."""
    (tmp_path / "token").write_text(f"{DNS_TOKEN}\n")
    (tmp_path / "next").write_text(f"{NEXT_TOKEN}\n")
    async with serving_hub(
        tmp_path,
        geo__catalogue=str(catalogue_file(tmp_path)),
        geo__token_file=str(tmp_path / "token"),
        geo__next_token_file=str(tmp_path / "next"),
        geo__ttl="7s",
        geo__spread=2,
    ) as both:
        yield both


async def geo(api: Api, query: str = "", token: str = DNS_TOKEN):
    """Give what a DNS server is told."""
    reply = await api.ask("GET", f"/v1/geo{query}", token=token)
    return reply.expect(200).document


async def test_regions_are_listed(api):
    """A region shows what the catalogue says of it, how it stands, and its replica."""
    created = await api.create(SINGAPORE)
    await api.report(status={"load": {"connections": 3, "bytes_per_second": 1024.5}})
    found = (await api.ask("GET", "/v1/regions")).expect(200).document
    assert [each["name"] for each in found["regions"]] == list(ADDRESSES)
    singapore, jakarta, _ = found["regions"]
    assert singapore["number"] == 9
    assert singapore["addresses"] == [ADDRESSES[SINGAPORE]]
    assert singapore["networks"] == [NETWORKS[SINGAPORE]]
    assert singapore["standing"] == "up"
    assert (singapore["replica"], singapore["state"]) == (created["id"], "Running")
    assert singapore["load"] == {"connections": 3, "bytes_per_second": 1024.5}
    assert (jakarta["replica"], jakarta["state"], jakarta["load"]) == (None, None, None)
    assert found["note"] == ""


async def test_dns_servers_are_told_all_that_they_decide_by(api):
    """The document holds the catalogue as geo reads it, standings, networks, and the terms."""
    await api.ask("POST", "/v1/networks", {"region": JAKARTA, "network": "10.8.0.0/16"})
    told = await geo(api)
    catalogue = catalogue_of(told["catalogue"])
    assert [str(each.addresses[0]) for each in catalogue.regions] == list(ADDRESSES.values())
    assert told["standings"] == dict.fromkeys(ADDRESSES, "up")
    assert told["linked"] == {JAKARTA: ["10.8.0.0/16"]}
    assert (told["domain"], told["ttl_seconds"], told["spread"]) == ("registry.example.com", 7, 2)
    assert await geo(api, token=NEXT_TOKEN) == told


async def test_a_token_of_dns_servers_opens_nothing_else(api):
    """C5: DNS servers read `/v1/geo`, as operators may; theirs is no token of operators."""
    for path in ("/v1/regions", "/v1/networks", "/v1/replicas", "/v1/explain?reference=a&from=::"):
        (await api.ask("GET", path, token=DNS_TOKEN)).expect(401)
    (await api.ask("POST", f"/v1/regions/{JAKARTA}/drain", token=DNS_TOKEN)).expect(401)
    (await api.ask("GET", "/v1/geo")).expect(200)
    await api.create(SINGAPORE)
    for token in (None, "junk", SENDER_SECRET, api.tokens[SINGAPORE]):
        (await api.ask("GET", "/v1/geo", token=token)).expect(401)


async def test_drained_and_resumed(api):
    """A drained region says so to operators and DNS servers, over a second drain, until resumed."""
    for _ in range(2):
        drained = await api.ask("POST", f"/v1/regions/{JAKARTA}/drain")
        assert drained.expect(200).document["is_drained"]
        assert drained.document["standing"] == "drained"
    assert (await geo(api))["standings"] == {
        SINGAPORE: "up",
        JAKARTA: "drained",
        FRANKFURT: "up",
    }
    resumed = await api.ask("POST", f"/v1/regions/{JAKARTA}/resume")
    assert (resumed.expect(200).document["standing"]) == "up"
    assert (await api.ask("POST", f"/v1/regions/{JAKARTA}/resume")).status == 200
    unknown = await api.ask("POST", "/v1/regions/nowhere/drain")
    assert unknown.expect(404).error["code"] == "NOT_FOUND"


async def test_a_revision_is_waited_for(hub, api):
    """With the revision that it knows a DNS server waits, and hears of a change at once."""
    before = await geo(api)
    assert await geo(api, f"?after={before['revision']}&timeout=0.05") == before
    assert await geo(api, "?after=another&timeout=55") == before
    waiting = asyncio.create_task(geo(api, f"?after={before['revision']}&timeout=55"))
    await eventually(lambda: len(hub._geographic._state) == 1)
    assert not waiting.done()
    await api.ask("POST", f"/v1/regions/{JAKARTA}/drain")
    async with asyncio.timeout(5):
        after = await waiting
    assert after["standings"][JAKARTA] == "drained"
    assert after["revision"] != before["revision"]
    await api.ask("POST", f"/v1/regions/{JAKARTA}/resume")
    assert await geo(api) == before  # the revision names what is said, not how often it changed


@pytest.mark.parametrize(
    "query", ["?timeout=56", "?timeout=-1", "?timeout=x", "?after=a&after=b", "?before=a"]
)
async def test_a_query_that_is_wrong_is_refused(api, query):
    """A query says what it may say and nothing else."""
    (await api.ask("GET", f"/v1/geo{query}")).expect(400)


async def test_those_who_wait_are_let_go_at_the_end(hub, api):
    """A hub that stops answers those who wait, and doesn't wait for them."""
    known = (await geo(api))["revision"]
    waiting = asyncio.create_task(geo(api, f"?after={known}&timeout=55"))
    await eventually(lambda: len(hub._geographic._state) == 1)
    async with asyncio.timeout(5):
        await hub.stop()
        assert (await waiting)["revision"] == known
