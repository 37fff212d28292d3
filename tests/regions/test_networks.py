"""Regions that are closed to all but their networks, however clients get there."""

import pytest

from tests.regions.place import FRANKFURT, JAKARTA, PLACES, SINGAPORE
from tests.support.waiting import wait_until

MANIFEST = "/v2/shop/private/manifests/1"
OPEN, REFUSED = 200, 403
HUB_NETWORK = "10.0.0.0/24"


@pytest.fixture(scope="module", autouse=True)
def image(regions):
    return regions.publish("shop/private:1")


@pytest.fixture
def link(regions):
    """Link a network to a region, beside the hub's own, which probes; both are unlinked when the
    test ends.
    """
    linked = []

    def link_one(place, network):
        for each in (HUB_NETWORK, network):
            wish = {"region": place.name, "network": each}
            regions.ask("POST", "/v1/networks", wish).expect(201)
            linked.append((place, each.replace("/", "_")))
        wait_until(lambda: _status(regions.nowhere, place) == REFUSED, 10.0, "it is closed")
        wait_until(lambda: _status(regions.client(place), place) == OPEN, 10.0, "to others")
        regions.wait_answers(regions.client(place), [place])  # DNS hears of each link by itself

    yield link_one
    for place, network in linked:
        regions.ask("DELETE", f"/v1/networks/{place.name}/{network}").expect(204)
    for place, _ in linked:
        wait_until(lambda at=place: _status(regions.nowhere, at) == OPEN, 10.0, "it is open")


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.front or "direct")
def test_c28_a_closed_region_sees_the_clients_own_address(regions, link, place):
    """C28: a region without a front end, with one that speaks the PROXY protocol, and with one
    that writes X-Forwarded-For serves its linked network and refuses a stranger, who is named in
    its log; what either writes into X-Forwarded-For itself changes nothing.
    """
    link(place, place.networks[0])
    inside, stranger = regions.client(place), regions.nowhere
    for forged in _forgeries(inside.host.address):
        assert _status(stranger, place, forged) == REFUSED, forged
    for forged in _forgeries(stranger.host.address):
        assert _status(inside, place, forged) == OPEN, forged
    replica = regions.replica(place)
    replica.wait_event("client.refused", client=stranger.host.address)
    assert {each["client"] for each in replica.events("client.refused")} == {stranger.host.address}
    pulled = (place.name, inside.host.address)
    wait_until(lambda: pulled in regions.pulls_from("shop/private"), 10.0, "the log says who")


def test_a_refusal_is_an_error_of_the_spec(regions, link):
    """A client that isn't let in gets a JSON 403 with code DENIED."""
    link(SINGAPORE, "10.1.0.0/16")
    reply = regions.nowhere.ask(SINGAPORE, MANIFEST).expect(REFUSED)
    assert reply.error_codes == ["DENIED"]
    assert (reply.header("Content-Type") or "").startswith("application/json")


def test_operators_link_and_unlink(regions):
    """`proxima networks` closes a region to all but the network that is linked, lists it, and
    opens the region when it is unlinked.
    """
    where = ("10.3.0.0/16", "--region", FRANKFURT.name)
    regions.proxima("networks", "link", *where).check()
    wait_until(lambda: _status(regions.nowhere, FRANKFURT) == REFUSED, 10.0, "it is closed")
    regions.client(FRANKFURT).inspect("shop/private:1").check()
    assert "10.3.0.0/16" in regions.proxima("networks", "list").check().text
    regions.proxima("networks", "unlink", *where).check()
    wait_until(lambda: _status(regions.nowhere, FRANKFURT) == OPEN, 10.0, "it is open")
    assert "10.3.0.0/16" not in regions.proxima("networks", "list").check().text


def test_dns_sends_who_would_be_refused_elsewhere(regions, link):
    """A client of a region's network that its list leaves out is sent to a region that lets it
    in, and pulls there; who is on the list stays.
    """
    left_out = regions.add_client("left-out", "10.1.7.50/16")
    assert left_out.dig() == [SINGAPORE.address]
    link(SINGAPORE, "10.1.0.0/24")
    others = (JAKARTA, FRANKFURT)
    regions.wait_answers(left_out, others)
    left_out.inspect("shop/private:1").check()
    assert regions.client(SINGAPORE).dig() == [SINGAPORE.address]
    regions.client(SINGAPORE).inspect("shop/private:1").check()
    assert _status(left_out, SINGAPORE) == REFUSED
    clients = regions.pulls_from("shop/private")
    assert {name for name, client in clients if client == left_out.host.address} <= {
        each.name for each in others
    }


def test_a_region_stays_closed_while_the_hub_is_down(regions, link):
    """A replica that starts while the hub is down goes on with the networks that it knew."""
    link(SINGAPORE, "10.1.0.0/16")
    replica = regions.replica(SINGAPORE)
    regions.hub.process.kill()
    try:
        replica.restart()
        assert _status(regions.nowhere, SINGAPORE) == REFUSED
        assert _status(regions.client(SINGAPORE), SINGAPORE) == OPEN
    finally:
        regions.hub.start()
    wait_until(lambda: regions.region(SINGAPORE)["state"] == "Running", 30.0, "it follows again")


def _forgeries(address):
    """Headers that claim to be *address*."""
    return (
        {},
        {"X-Forwarded-For": address},
        {"X-Forwarded-For": f"{address}, 127.0.0.1"},
        {"X-Forwarded-For": address, "Connection": "X-Forwarded-For"},
        {"X_Forwarded_For": address, "Forwarded": f"for={address}", "X-Real-IP": address},
    )


def _status(client, place, headers=None):
    """Give the status of a pull from a region, wherever DNS would lead."""
    return client.ask(place, MANIFEST, headers).status
