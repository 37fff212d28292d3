"""Clients through a real PowerDNS, configured as deploy/powerdns/pdns.conf says."""

import time
from pathlib import Path

import pytest

from tests.dns.powerdns import NAME
from tests.dns.site import (
    FRANKFURT,
    FRANKFURT_6,
    SINGAPORE,
    SINGAPORE_6,
    TOKYO,
    Site,
)
from tests.dns.stub_hub import REGIONS
from tests.dns.wire import ask, question
from tests.support.command_line import Proxima
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("powerdns")  # one server for all of them

KEPT_SECONDS = 8.0
"""The TTL of 5 s, and a busy machine."""


# --- who gets what --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subnet", "kind", "expected"),
    [
        ("10.1.0.0/16", "A", SINGAPORE),
        ("10.1.77.0/24", "A", SINGAPORE),
        ("10.2.3.0/24", "A", FRANKFURT),
        ("10.2.3.0/24", "AAAA", FRANKFURT_6),
        ("2001:db8:2:8800::/56", "AAAA", FRANKFURT_6),
        ("2001:db8:2:8800::/56", "A", FRANKFURT),
        ("10.3.0.0/24", "A", TOKYO),
        ("10.1.0.0/16", "AAAA", SINGAPORE_6),
        ("198.18.0.0/24", "A", SINGAPORE),
        ("0.0.0.0/0", "A", SINGAPORE),
    ],
)
def test_a_client_gets_its_region(site: Site, subnet: str, kind: str, expected: list[str]) -> None:
    """C28: the subnet that a resolver tells of decides, else the default; TTLs are the hub's."""
    said = site.dns.dig(kind, f"+subnet={subnet}")
    assert said.status == "NOERROR"
    assert sorted(said.answers) == expected
    assert said.ttls <= {5}
    assert "aa" in said.flags
    if expected:
        assert said.subnet.endswith("/56" if ":" in subnet else "/24")


def test_a_resolver_that_tells_nothing_is_the_client(site: Site) -> None:
    """Without a client's subnet, the address that asks decides."""
    for _ in range(2):
        for source, expected in (("127.1.0.1", SINGAPORE), ("127.2.0.1", FRANKFURT)):
            assert site.dns.dig("A", "-b", source).answers == expected


@pytest.mark.parametrize(
    ("name", "kind", "status", "expected"),
    [
        (NAME, "NS", "NOERROR", ["ns1.example.net.", "ns2.example.net."]),
        (NAME.upper(), "A", "NOERROR", SINGAPORE),
        (f"fra.{NAME}", "A", "NOERROR", FRANKFURT),
        (f"sg.{NAME}", "AAAA", "NOERROR", SINGAPORE_6),
        (f"no.{NAME}", "A", "NXDOMAIN", []),
        (f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{NAME}", "A", "NXDOMAIN", []),
        (NAME, "MX", "NOERROR", []),
        (NAME, "TYPE65", "NOERROR", []),
        (NAME, "TYPE65280", "NOERROR", []),
        (NAME, "DNSKEY", "NOERROR", []),
        ("example.com", "A", "REFUSED", []),
        ("registry.example.org", "A", "REFUSED", []),
        ("xregistry.example.com", "A", "REFUSED", []),
        (".", "NS", "REFUSED", []),
        (".", "ANY", "REFUSED", []),
    ],
)
def test_names_and_types(
    site: Site, name: str, kind: str, status: str, expected: list[str]
) -> None:
    """Own names are answered, others refused; what there is none of is said to be nothing."""
    said = site.dns.dig(kind, "-b", "127.1.0.1", "+ignore", name=name)
    assert said.status == status
    assert sorted(said.answers) == expected


def test_the_zone_says_where_it_begins(site: Site) -> None:
    """The SOA names the first server and how long "nothing" is believed: as long as an answer."""
    (soa,) = site.dns.dig("SOA").answers
    primary, mailbox, _serial, *_, negative = soa.split()
    assert (primary, mailbox) == ("ns1.example.net.", f"hostmaster.{NAME}.")
    assert negative == "5"


def test_another_zone_never_reaches_the_backend(site: Site) -> None:
    """A flood of foreign names is refused by PowerDNS alone."""

    def calls() -> float:
        return site.metrics().value("proxima_dns_backend_calls_total")

    before = calls()
    for number in range(50):
        assert ask(site.dns.port, question(f"w{number}.example.org", "A")).status == "REFUSED"
    refreshes = 2.0
    assert calls() - before <= refreshes
    site.dns.dig("A")
    assert calls() - before >= 1


def test_the_check_finds_it_good(site: Site, proxima: Proxima) -> None:
    """What `proxima dns check` expects is what this server answers, also while a region is down."""
    token = Path(site.process.program.log).with_name("token")
    words = ("--hub", site.hub.url, "--token-file", token)
    for standing in ("up", "down"):
        site.hub.stand(eu_frankfurt=standing)
        site.settle()
        outcome = proxima("dns", "check", NAME, "--server", f"127.0.0.1:{site.dns.port}", *words)
        assert outcome.status == 0, outcome.output
    assert "eu-frankfurt -> " in outcome.output


# --- what may not be kept -------------------------------------------------------------------------


def test_no_cache_mixes_clients(site: Site) -> None:
    """Clients of two regions who ask in turn each get their own, of either family."""
    for _ in range(3):
        for source, four, six in (
            ("127.1.0.1", SINGAPORE, SINGAPORE_6),
            ("127.2.0.1", FRANKFURT, FRANKFURT_6),
        ):
            assert site.dns.dig("A", "-b", source).answers == four
            assert site.dns.dig("AAAA", "-b", source).answers == six


def test_no_such_record_is_kept_for_the_ttl_alone(site: Site) -> None:
    """What names no subnet is in the cache for everybody; once all regions have an IPv6 address,
    "no such record" ends with the zone's TTL. (That it is kept at all is seen by its calls.)
    """
    regions = {
        name: {**each, "addresses": [one for one in each["addresses"] if ":" not in one]}
        for name, each in REGIONS.items()
    }
    site.hub.say(catalogue={"default": "ap-singapore", "regions": regions})
    site.settle()
    wait_until(lambda: site.dns.dig("AAAA", "-b", "127.2.0.1").answers == [], 20)
    before = site.metrics().value("proxima_dns_backend_calls_total")
    for source in ("127.1.0.1", "127.2.0.1", "127.1.0.2"):
        assert site.dns.dig("AAAA", "-b", source).answers == []
    assert site.metrics().value("proxima_dns_backend_calls_total") - before <= 2
    site.hub.say(catalogue={"default": "ap-singapore", "regions": REGIONS})
    site.settle()
    began = time.monotonic()
    wait_until(lambda: site.dns.dig("AAAA", "-b", "127.2.0.1").answers == FRANKFURT_6, 20)
    assert time.monotonic() - began < KEPT_SECONDS


def test_the_next_question_sees_a_region_that_is_down(site: Site) -> None:
    """Once the hub's word is here, no cache keeps what was so before it, of any type."""
    for name, standing, expected in (
        ("down", "down", (FRANKFURT, FRANKFURT_6)),
        ("up again", "up", (SINGAPORE, SINGAPORE_6)),
        ("drained", "drained", (FRANKFURT, FRANKFURT_6)),
    ):
        site.dns.of("10.1.0.0/16"), site.dns.of("10.1.0.0/16", "AAAA")
        site.hub.stand(ap_singapore=standing)
        site.settle()
        seen = (site.dns.of("10.1.0.0/16"), site.dns.of("10.1.0.0/16", "AAAA"))
        assert seen == expected, name


def test_a_strangers_region_changes_with_its_standing(site: Site) -> None:
    """A drained region gets no clients from outside of its networks; when all are down, it is
    the nearest anyway.
    """
    assert site.dns.of("198.18.0.0/24") == SINGAPORE
    site.hub.stand(ap_singapore="drained")
    site.settle()
    assert site.dns.of("198.18.0.0/24") == FRANKFURT
    site.hub.stand(ap_singapore="down", eu_frankfurt="down", ap_tokyo="down")
    site.settle()
    assert site.dns.of("10.2.0.0/24") == FRANKFURT
