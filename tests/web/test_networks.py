"""Networks as a set, and the door that goes by them."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.oci.errors import OutsideNetworks
from proxy.telemetry.labels import ClientRefusal
from proxy.web.forwarding import Network
from proxy.web.networks import Networks
from proxy.web.region_access import LOG_EVERY_SECONDS, RegionAccess
from tests.registry_store.ground import Heard, ManualClock

HERE = (ip_network("10.1.0.0/16"),)
LINKED = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
OUTSIDE = ("203.0.113.9", "10.2.0.1", "2001:db9::1", "", "junk", "fe80::1%eth0")


@st.composite
def _networks(draw: st.DrawFn) -> Network:
    """Blocks of one small part of each version, so that they nest, touch and overlap."""
    is_four = draw(st.booleans())
    bits, base = (32, 0x0A000000) if is_four else (128, 0x20010DB8 << 96)
    prefix = draw(st.integers(bits - 8, bits))
    number = base + (draw(st.integers(0, 255)) >> (bits - prefix) << (bits - prefix))
    return ip_network((number if is_four else IPv6Address(number), prefix))


_ADDRESSES = st.one_of(
    st.integers(-1, 257).map(lambda number: IPv4Address(0x0A000000 + number)),
    st.integers(-1, 257).map(lambda number: IPv6Address((0x20010DB8 << 96) + number)),
)


@given(st.lists(_networks(), max_size=12), st.lists(_ADDRESSES, min_size=1, max_size=20))
def test_a_set_of_networks_has_what_one_of_them_has(networks, addresses):
    """Whatever nests, touches or overlaps: an address is within exactly if it is within a block."""
    found = Networks.of(networks)
    for address in addresses:
        assert (address in found) is any(address in network for network in networks)


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]),
        ("::/0", ["::", f"{'ffff:' * 7}ffff"], ["0.0.0.0", "255.255.255.255"]),
        ("10.0.0.7/32", ["10.0.0.7"], ["10.0.0.6", "10.0.0.8", "::a00:7"]),
    ],
)
def test_the_ends_of_a_network(network: str, inside: list[str], outside: list[str]):
    """First and last address are within; a number of the other version of IP isn't."""
    found = Networks.of([ip_network(network)])
    assert all(ip_address(each) in found for each in inside)
    assert not any(ip_address(each) in found for each in outside)


# --- the door -------------------------------------------------------------------------------------


@pytest.fixture
def heard() -> Iterator[Heard]:
    found = Heard()
    yield found
    found.close()


def _access(heard: Heard, clock: ManualClock, own: tuple[Network, ...] = ()) -> RegionAccess:
    return RegionAccess(own, heard.telemetry.log, heard.telemetry.metrics, clock.now)


def _may_enter(access: RegionAccess, client: str) -> bool:
    try:
        access.check(client)
    except OutsideNetworks:
        return False
    return True


@pytest.mark.parametrize("client", OUTSIDE)
def test_without_networks_everybody_may_enter(heard: Heard, client: str):
    """A region is open until a network is listed, even to whom no address is known of."""
    access = _access(heard, ManualClock())
    assert _may_enter(access, client)
    access.list_told(LINKED)
    assert not _may_enter(access, client)
    access.list_told(())
    assert _may_enter(access, client)


def test_own_networks_and_linked_ones_add_up(heard: Heard):
    """A client of either may enter; the region is open again when both are empty, not before."""
    access = _access(heard, ManualClock(), HERE)
    clients = ("10.1.2.3", "192.0.2.1", "2001:db8::1")
    entered = [[_may_enter(access, each) for each in clients]]
    for act, networks in (
        (access.list_told, LINKED),
        (access.list_own, ()),
        (access.list_told, ()),
    ):
        act(networks)
        entered.append([_may_enter(access, each) for each in clients])
    assert entered == [[True, False, False], [True] * 3, [False, True, True], [True] * 3]


def test_networks_that_arent_known_any_more_open_nothing(heard: Heard):
    """Where the hub's last word can't be read, the own networks alone count, even if there are
    none; what is refused then is counted apart.
    """
    access = _access(heard, ManualClock())
    access.list_told(None)
    assert not _may_enter(access, "192.0.2.1")
    access.list_own(HERE)
    assert [_may_enter(access, each) for each in ("10.1.0.1", "192.0.2.1")] == [True, False]
    assert heard.count("proxima_clients_refused_total", reason=ClientRefusal.UNKNOWN) == 2
    assert heard.count("proxima_clients_refused_total", reason=ClientRefusal.OUTSIDE) == 0


def test_a_link_local_client_of_a_listed_network_may_enter(heard: Heard):
    """The zone that the system adds to such a peer's address stands in nobody's way."""
    access = _access(heard, ManualClock(), (ip_network("fe80::/10"),))
    assert _may_enter(access, "fe80::1%eth0")
    assert not _may_enter(access, "2001:db8::1%eth0")


def test_strangers_make_few_lines(heard: Heard):
    """Each is counted; one line a second stands for all of them, and says how many they were."""
    clock = ManualClock()
    access = _access(heard, clock, HERE)
    for number in range(1000):
        assert not _may_enter(access, f"203.0.{number // 250}.{number % 250}")
    clock.pass_(LOG_EVERY_SECONDS)
    assert not _may_enter(access, "203.0.113.9")
    lines = heard.events("client.refused")
    assert [line["requests"] for line in lines] == [1, 1000]
    assert {line["reason"] for line in lines} == {"outside"}
    assert lines[1]["client"] == "203.0.113.9"
    assert heard.count("proxima_clients_refused_total") == 1001
