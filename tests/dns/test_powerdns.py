"""Clients through a real PowerDNS, configured as deploy/powerdns/pdns.conf says."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.dns.powerdns import NAME, REMOTE, PowerDns, powerdns
from tests.dns.serving import program
from tests.dns.stub_hub import REGIONS, StubHub, geo_document, stub_hub
from tests.dns.wire import IP_AND_UDP_BYTES, ask, flood, question, spoofed, subnet_option
from tests.support.command_line import Proxima
from tests.support.fixtures import require
from tests.support.metrics import Metrics
from tests.support.processes import Process, running, tail
from tests.support.registry_client import RegistryClient
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("powerdns")  # one server for all of them

SINGAPORE = ["203.0.113.5"]
SINGAPORE_6 = ["2001:db8:9::1"]
FRANKFURT = ["203.0.113.17"]
FRANKFURT_6 = ["2001:db8:17::1"]
KEPT_SECONDS = 8.0
"""The TTL of 5 s, and a busy machine."""
TOKYO = ["203.0.113.25", "203.0.113.26"]
MIB = 1 << 20


@dataclass
class Site:
    """A DNS server, the process that decides for it, and the hub."""

    hub: StubHub
    process: Process
    dns: PowerDns
    ops: str

    def settle(self) -> None:
        """Wait until the hub's state is the one in use."""
        revision = self.hub.document["revision"]
        wait_until(lambda: self._ready()["revision"] == revision, what=f"{revision} in use")

    def _ready(self) -> dict[str, Any]:
        answer = RegistryClient(self.ops).request("GET", "/readyz", {}, b"").json()
        assert isinstance(answer, dict)
        return answer

    def metrics(self) -> Metrics:
        page = RegistryClient(self.ops).request("GET", "/metrics", {}, b"")
        return Metrics.parse(page.body.decode())

    @property
    def memory_bytes(self) -> dict[str, int]:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        own = 1024 * int(status.partition("VmRSS:")[2].split()[0])
        return {"powerdns": self.dns.memory_bytes, "proxima": own}


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One of each for all tests of this module."""
    for each in ("pdns_server", "dig", REMOTE):
        require(each)
    folder = tmp_path_factory.mktemp("site")
    with stub_hub() as hub, running(program(folder, hub, {})) as process:
        ready = wait_until(lambda: _ready_line(folder / "dns.jsonl"), 30, "the process is ready")
        with powerdns(folder, f"http://{ready['backend']}/dns") as dns:
            yield Site(hub, process, dns, f"http://{ready['ops']}")
        assert process.is_running, tail(folder / "dns.err")


def _ready_line(log: Path) -> dict[str, Any] | None:
    if not log.exists():
        return None
    lines = [json.loads(line) for line in log.read_text().rpartition("\n")[0].splitlines()]
    return next((line for line in lines if line["event"] == "dns.ready"), None)


@pytest.fixture
def site(whole_site: Site) -> Site:
    """The same, every region up again."""
    whole_site.hub.say(**{**geo_document(), "revision": _next(whole_site.hub)})
    whole_site.settle()
    return whole_site


def _next(hub: StubHub) -> str:
    return f"r{int(hub.document['revision'][1:]) + 1}"


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


# --- what is bad ----------------------------------------------------------------------------------


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
