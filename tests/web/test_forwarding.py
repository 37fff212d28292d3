"""Who a request comes from: nobody but a trusted proxy may say so for somebody else."""

from ipaddress import ip_network

import pytest

from proxy.web.forwarding import client_behind
from tests.support.raw_http import exchange, request_bytes
from tests.web.conftest import Place
from tests.web.corpus import HOST
from tests.web.serving import LOOPS, serving

TRUSTED = tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.1/32", "2001:db8:ffff::/48")))
PROXY = "10.0.0.1"
STRANGER = "198.51.100.7"
CLIENT = "203.0.113.9"
CLIENT6 = "2001:db8::9"

# peer, lines of X-Forwarded-For, who it comes from
TABLE = (
    # an untrusted peer speaks for itself, whatever it says
    (STRANGER, [], STRANGER),
    (STRANGER, [CLIENT], STRANGER),
    (STRANGER, ["10.0.0.2"], STRANGER),
    (STRANGER, [f"{CLIENT}, {PROXY}"], STRANGER),
    (CLIENT6, [CLIENT], CLIENT6),
    # a trusted one is asked
    (PROXY, [], PROXY),
    (PROXY, [CLIENT], CLIENT),
    (PROXY, [f" {CLIENT} "], CLIENT),
    ("192.0.2.1", [CLIENT], CLIENT),
    ("192.0.2.2", [CLIENT], "192.0.2.2"),
    ("2001:db8:ffff::1", [CLIENT6], CLIENT6),
    # what the client wrote itself stands further left and doesn't count
    (PROXY, [f"{STRANGER}, {CLIENT}"], CLIENT),
    (PROXY, [f"10.0.0.9, {CLIENT}"], CLIENT),
    (PROXY, [f"junk, {CLIENT}"], CLIENT),
    # several proxies, several lines
    (PROXY, [f"{CLIENT}, 10.0.0.2"], CLIENT),
    (PROXY, [f"{CLIENT}, 10.0.0.2, 192.0.2.1"], CLIENT),
    (PROXY, [CLIENT, "10.0.0.2"], CLIENT),
    (PROXY, [STRANGER, f"{CLIENT}, 10.0.0.2"], CLIENT),
    (PROXY, ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
    # the forms that proxies write
    (PROXY, [f"{CLIENT}:4711"], CLIENT),
    (PROXY, [CLIENT6], CLIENT6),
    (PROXY, [f"[{CLIENT6}]"], CLIENT6),
    (PROXY, [f"[{CLIENT6}]:4711"], CLIENT6),
    (PROXY, [f"::ffff:{CLIENT}"], CLIENT),
    (PROXY, [f"{CLIENT}, ::ffff:10.0.0.2"], CLIENT),
    (f"::ffff:{PROXY}", [CLIENT], CLIENT),
    (PROXY, ["2001:DB8:0::9"], CLIENT6),
    # a list that can't be read is worth nothing
    (PROXY, [""], PROXY),
    (PROXY, [f"{CLIENT},"], PROXY),
    (PROXY, ["unknown"], PROXY),
    (PROXY, ["_hidden"], PROXY),
    (PROXY, ["203.0.113.999"], PROXY),
    (PROXY, [f"{CLIENT}:port"], PROXY),
    (PROXY, [f"{CLIENT} {STRANGER}"], PROXY),
    (PROXY, [f"{CLIENT}, junk, 10.0.0.2"], PROXY),
    (PROXY, [f'"{CLIENT}"'], PROXY),
    (PROXY, ['fe80::1%"}'], PROXY),
    (PROXY, [f"{CLIENT}\udcff"], PROXY),
    (PROXY, ["3405803785"], PROXY),
    ("", [CLIENT], ""),
)


def _is_trusted(address) -> bool:
    return any(address in network for network in TRUSTED)


@pytest.mark.parametrize(("peer", "lines", "client"), TABLE)
def test_the_list_is_walked_from_the_right(peer: str, lines: list[str], client: str):
    """C28, T10: the last address that no trusted proxy has is the client's; junk counts nothing."""
    assert client_behind(peer, lines, _is_trusted) == client


@pytest.mark.parametrize(("networks", "logged"), [([], HOST), (["127.0.0.0/8"], CLIENT)])
def test_the_log_names_the_client(place: Place, networks: list[str], logged: str):
    """C28, T10: the log has the client behind a trusted proxy, and the peer otherwise."""
    forwarded = (("X-Forwarded-For", f"{STRANGER}, {CLIENT}"), ("X_Forwarded_For", STRANGER))
    with serving(place.upstream, access={"trusted_proxies": networks}) as served:
        assert exchange(served.address, request_bytes("GET", "/v2/", HOST, *forwarded)).status
        assert served.wait_event("request.answered")["client"] == logged


@pytest.mark.parametrize("loop", LOOPS)
def test_a_malformed_request_through_a_trusted_proxy_gets_400(place: Place, loop: str):
    """C10: what can't be parsed has no forwarding headers; it is refused and logged as ever."""
    networks = {"trusted_proxies": ["127.0.0.0/8"]}
    with serving(place.upstream, loop=loop, access=networks) as served:
        reply = exchange(served.address, b"NO HTTP\r\n\r\n")
        assert (reply.status, reply.is_complete) == (400, True)
        line = served.wait_event("request.answered", outcome="invalid")
        assert (line["client"], line["level"]) == (HOST, "info")
