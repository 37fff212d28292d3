"""What a real PowerDNS makes of malformed, forged and greedy questions."""

import pytest

from tests.dns.powerdns import NAME
from tests.dns.site import FRANKFURT, SINGAPORE, Site
from tests.dns.stub_hub import REGIONS
from tests.dns.wire import IP_AND_UDP_BYTES, ask, flood, question, spoofed, subnet_option

pytestmark = pytest.mark.xdist_group("powerdns")  # one server for all of them

MIB = 1 << 20


@pytest.mark.parametrize(
    "data",
    [
        subnet_option(9, 16, 0, b"\x0a\x01"),
        subnet_option(0, 16, 0, b"\x0a\x01"),
        subnet_option(1, 33, 0, b"\x0a\x01\x00\x00\x01"),
        subnet_option(2, 129, 0, b"\x20" * 17),
        subnet_option(1, 16, 0, b"\x0a\x01\x03\x04"),
        subnet_option(1, 24, 0, b"\x0a\x01"),
        subnet_option(1, 0, 0, b"\x0a\x01"),
        b"",
        b"\x00",
        b"\x00\x01\x10",
        b"\xff" * 200,
    ],
)
def test_a_malformed_subnet_changes_nothing(site: Site, data: bytes) -> None:
    """C29, C28: it is answered as if it weren't there, or refused as malformed, for the address
    that asks: never for the one it seems to name.
    """
    port = site.dns.port
    plain = ask(port, question(NAME, "A"), "127.2.0.1")
    assert plain.values == set(FRANKFURT)
    said = ask(port, question(NAME, "A", data), "127.2.0.1")
    assert (said.status, said.values) in (("NOERROR", plain.values), ("FORMERR", frozenset()))


def test_bits_beyond_the_prefix_count_for_nothing(site: Site) -> None:
    """10.1.255.255/16 is 10.1.0.0/16; 10.255/12 is in no region's network."""
    port = site.dns.port
    for data, expected in (
        (subnet_option(1, 15, 0, b"\x0a\x03"), FRANKFURT),
        (subnet_option(1, 12, 0, b"\x0a\xff"), SINGAPORE),
    ):
        said = ask(port, question(NAME, "A", data), "127.3.0.1")
        assert said.status in {"NOERROR", "FORMERR"}
        assert said.values <= set(expected)


KINDS = "A AAAA NS SOA TXT MX CAA DNSKEY DS RRSIG NSEC TYPE65 ANY TYPE65280"


@pytest.mark.parametrize("kind", KINDS.split())
@pytest.mark.parametrize("source", ["127.1.0.1", "127.2.0.1", "127.3.0.1"])
def test_answers_are_no_amplifier(site: Site, kind: str, source: str) -> None:
    """C29: for no type does a forged question over UDP bring more than twice its own bytes,
    counted as they cross the network, with IP and UDP headers.
    """
    for edns in (True, False):
        query = question(NAME, kind, edns=edns)
        answer = ask(site.dns.port, query, source).size_bytes + IP_AND_UDP_BYTES
        assert answer <= 2 * (len(query) + IP_AND_UDP_BYTES), (edns, answer, len(query))


def test_any_is_for_tcp_alone(site: Site) -> None:
    """C29: over UDP, ANY is told to come again over TCP, with no records; there it gets them."""
    short = site.dns.dig("ANY", "+notcp", "+ignore", "-b", "127.1.0.1")
    assert "tc" in short.flags
    assert short.answers == []
    assert SINGAPORE[0] in site.dns.dig("ANY", "+tcp", "-b", "127.1.0.1").answers


def test_what_is_too_long_comes_over_tcp(site: Site) -> None:
    """C29: an answer that doesn't fit is cut, and whole over TCP."""
    many = [f"198.51.100.{number}" for number in range(1, 81)]
    tokyo = {**REGIONS["ap-tokyo"], "addresses": [*many, "2001:db8:25::1"]}
    regions = {**REGIONS, "ap-tokyo": tokyo}
    site.hub.say(catalogue={"default": "ap-singapore", "regions": regions})
    site.settle()
    cut = site.dns.dig("A", "+subnet=10.3.0.0/24", "+ignore")
    assert "tc" in cut.flags
    assert cut.size_bytes <= 1232
    whole = site.dns.dig("A", "+subnet=10.3.0.0/24")
    assert sorted(whole.answers) == sorted(many)


def test_zone_transfers_are_refused(site: Site) -> None:
    """Nobody gets the zone as a whole: it is a different one for each client."""
    assert "Transfer failed" in site.dns.dig("AXFR", "+tcp").text


async def test_memory_stays_flat_under_forged_subnets(site: Site) -> None:
    """C29: thousands of different subnets leave nothing behind, in PowerDNS or beside it."""
    port = site.dns.port
    assert await flood(port, spoofed(NAME, 1_000, 0x0B0000)) >= 950
    before = site.memory_bytes
    assert await flood(port, spoofed(NAME, 3_000, 0x0B0000 + 1_000)) >= 2_950
    after = site.memory_bytes
    grown = {name: after[name] - before[name] for name in before}
    assert all(size < 8 * MIB for size in grown.values()), grown
