"""Every client lands in its nearest region, by the system's resolver and the shared name."""

import json

import pytest

from tests.regions.place import DEFAULT, DOMAIN, JAKARTA, PLACES, SINGAPORE
from tests.support.waiting import wait_until


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_client_lands_in_its_own_region(regions, place):
    """skopeo in a region's network is served by that region, and by no other."""
    repository = f"shop/{place.label}"
    regions.publish(f"{repository}:1")
    client = regions.client(place)
    assert client.lookup() == [place.address]
    client.inspect(f"{repository}:1").check()
    assert regions.served_by(repository) == {place.name}


def test_a_client_in_no_network_lands_in_the_default(regions):
    """skopeo at an address that no region has is served by the default region."""
    regions.publish("shop/nowhere:1")
    assert regions.nowhere.lookup() == [DEFAULT.address]
    regions.nowhere.inspect("shop/nowhere:1").check()
    assert regions.served_by("shop/nowhere") == {DEFAULT.name}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_containerd_lands_in_its_own_region(regions, place, containerd):
    """An image that containerd pulls and unpacks comes whole from the node's own region."""
    repository = f"shop/node-{place.label}"
    image = regions.publish(f"{repository}:1")
    node = regions.client(place).node(containerd)
    node.pull(f"{DOMAIN}/{repository}:1", credentials=regions.user).check()
    assert {each.digest for each in image.all_blobs()} <= node.digests()
    assert regions.served_by(repository) == {place.name}


def test_a_client_that_moves_lands_where_it_is_now(regions):
    """The next pull of a client that went to another network is served by that region."""
    traveller = regions.add_client("traveller", "10.1.0.77/16")
    regions.publish("shop/before:1")
    regions.publish("shop/after:1")
    traveller.inspect("shop/before:1").check()
    assert regions.served_by("shop/before") == {SINGAPORE.name}
    traveller.host.move("10.2.0.77/16")
    traveller.inspect("shop/after:1").check()
    assert regions.served_by("shop/after") == {JAKARTA.name}


def test_a_subnet_told_by_a_resolver_counts(regions):
    """A client's subnet that a resolver names leads to that client's region, wherever the resolver
    is; one that is junk or in no network changes nothing.
    """
    resolver = regions.nowhere
    for place in PLACES:
        for network in place.networks:
            assert resolver.dig(f"+subnet={network}") == [place.address]
    assert resolver.dig("+subnet=192.0.2.0/24") == [DEFAULT.address]


def test_explain_says_what_dns_says(regions):
    """`explain` gives each client the address that its own resolver gives it, with the region and
    the reason, and knows which regions have the image.
    """
    regions.publish("shop/explained:1")
    for place in PLACES:
        wait_until(lambda at=place: regions.has(at, "shop/explained:1"), 20.0, "replicated")
    for client, region, by in [
        *((regions.client(place), place, "network") for place in PLACES),
        (regions.nowhere, DEFAULT, "default"),
    ]:
        told = regions.explain("shop/explained:1", client.host.address)
        assert told["answer"]["addresses"] == client.dig() == [region.address]
        assert (told["answer"]["region"], told["by"]) == (region.name, by)
        assert all(each["is_complete"] for each in told["regions"])


def test_the_verb_says_what_the_hub_says(regions):
    """`proxima explain --from` names the region, its address and every region's state."""
    regions.publish("shop/verb:1")
    address = regions.nowhere.host.address
    verb = ("explain", "shop/verb:1", "--from", address)
    told = json.loads(regions.proxima(*verb, "--json").check().text)
    assert told["answer"] == regions.explain("shop/verb:1", address)["answer"]
    shown = regions.proxima(*verb).check().text
    for place in PLACES:
        assert place.name in shown
    assert DEFAULT.address in shown
