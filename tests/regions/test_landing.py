"""Every client lands in its nearest region, by the system's resolver and the shared name."""

import pytest

from tests.regions.place import DEFAULT, PLACES

pytestmark = pytest.mark.xdist_group("regions-landing")


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
