"""Why a client goes where it goes, and what it finds there."""

from urllib.parse import quote

import pytest

from tests.hub.api import entry
from tests.hub.geo.catalogues import ADDRESSES, FRANKFURT, JAKARTA, NETWORKS, SINGAPORE
from tests.hub.place import pushed

DIGEST = "sha256:" + "a" * 64
IN_JAKARTA = "10.2.3.4"


async def explained(api, reference: str = "registry.example.com/shop/api:1.0", client=IN_JAKARTA):
    target = f"/v1/explain?reference={quote(reference, safe='')}&from={quote(client, safe='')}"
    return (await api.ask("GET", target)).expect(200).document


async def test_a_client_of_a_network(api):
    """A client in a region's network goes there; the others come by distance from there."""
    told = await explained(api)
    assert (told["by"], told["network"], told["place"]) == ("network", NETWORKS[JAKARTA], None)
    assert told["answer"] == {
        "name": "registry.example.com",
        "region": JAKARTA,
        "ttl_seconds": 10.0,
        "addresses": [ADDRESSES[JAKARTA]],
    }
    assert [each["region"] for each in told["regions"]] == [JAKARTA, SINGAPORE, FRANKFURT]
    assert told["regions"][0]["distance_km"] == 0
    assert 800 < told["regions"][1]["distance_km"] < 1_000
    assert told["digest"] is None


async def test_nobody_knows_where_it_is(api):
    """An address in no network, without a database, goes to the default."""
    told = await explained(api, client="198.51.100.7")
    assert (told["by"], told["network"], told["answer"]["region"]) == ("default", None, SINGAPORE)
    assert told["regions"][0]["distance_km"] is None


async def test_the_state_of_the_image_in_each_region(api):
    """What replicas said of the image stands beside each region, and the primary's has it."""
    await api.create(SINGAPORE)
    await api.create(JAKARTA)
    await api.notify({**pushed("1.0"), "digest": DIGEST})
    await api.report(entry(state="complete"))
    status = {"lag_seconds": 4.5, "queue": 1}
    await api.report(entry(id="e-2", state="running"), region=JAKARTA, status=status)
    told = await explained(api)
    assert told["digest"] == DIGEST
    by = {each["region"]: each for each in told["regions"]}
    assert (by[SINGAPORE]["entry"], by[SINGAPORE]["is_complete"]) == ("complete", True)
    assert (by[JAKARTA]["entry"], by[JAKARTA]["is_complete"]) == ("running", False)
    assert (by[JAKARTA]["state"], by[JAKARTA]["lag_seconds"]) == ("Running", 4.5)
    assert by[FRANKFURT]["is_primary"]
    assert (by[FRANKFURT]["replica"], by[FRANKFURT]["is_complete"]) == (None, True)
    same = await explained(api, f"shop/api@{DIGEST}")
    assert same["regions"] == told["regions"]


async def test_drains_and_access_lists_are_seen(api):
    """A drained region and one that is closed to the client are no answer, and say so."""
    await api.ask("POST", f"/v1/regions/{JAKARTA}/drain")
    await api.ask("POST", "/v1/networks", {"region": SINGAPORE, "network": "10.9.0.0/16"})
    told = await explained(api)
    assert told["answer"]["region"] == FRANKFURT
    by = {each["region"]: each for each in told["regions"]}
    assert by[JAKARTA]["standing"] == "drained"
    assert (by[SINGAPORE]["may_enter"], by[FRANKFURT]["may_enter"]) == (False, True)
    assert told["reason"]
    assert (await explained(api, client="10.9.0.1"))["answer"]["region"] == SINGAPORE


@pytest.mark.parametrize(
    "query",
    [
        "reference=shop/api",
        "from=10.2.3.4",
        "reference=shop/api&from=junk",
        "reference=shop/api&from=10.2.0.0/16",
        "reference=shop/api&from=fe80::1%25eth0%0a",
        "reference=UPPER&from=10.2.3.4",
        "reference=shop/api@sha256:0&from=10.2.3.4",
        "reference=shop/api&from=10.2.3.4&from=10.2.3.5",
        "reference=shop/api&from_=10.2.3.4",
    ],
)
async def test_what_cant_be_read_is_refused(api, query):
    """C28: junk for an address or a reference is a 400, and decides nothing."""
    refused = await api.ask("GET", f"/v1/explain?{query}")
    assert refused.expect(400).error["code"] == "INVALID"
