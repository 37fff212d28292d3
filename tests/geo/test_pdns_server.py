"""The decision through a real PowerDNS: every client its own answer, whatever is in the caches."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from geo.nearness import Nearness
from geo.powerdns import respond
from geo.problems import CatalogueInvalid
from geo.reading import catalogue_of, document_of
from geo.records import Zone
from geo.situation import Situation
from tests.support.fixtures import require
from tests.support.geo import catalogue, region
from tests.support.powerdns import PROGRAM, powerdns

NAME = "registry.example.com"
ZONE = Zone(NAME, 30, ("ns1.example.com",), "ops.example.com", 7)
SINGAPORE = region(
    "ap-singapore",
    "127.1.0.0/16",
    "10.1.0.0/16",
    host=f"sg.{NAME}",
    addresses=(ip_address("203.0.113.5"), ip_address("2001:db8::5")),
)
TOKYO = region(
    "ap-tokyo",
    "127.2.0.0/16",
    "10.2.0.0/16",
    "2001:db8:2::/48",
    addresses=(ip_address("203.0.113.9"), ip_address("2001:db8::9")),
)
NEARNESS = Nearness(catalogue(SINGAPORE, TOKYO), Situation(), lambda _: None)
IN_SINGAPORE, IN_TOKYO = [str(SINGAPORE.addresses[0])], ["203.0.113.9"]


@pytest.fixture(scope="module", autouse=True)
def programs():
    require(PROGRAM)
    require("dig")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pdns")
    # Types apart: else the SOA is asked for again with each answer that can't be cached.
    settings = {"consistent_backends": "no"}
    with powerdns(folder, lambda body: respond(body, ZONE, NEARNESS.rank), **settings) as server:
        yield server


def test_clients_by_their_address(server):
    """Clients of two networks get their region's addresses in turn, and no cache mixes them."""
    for _ in range(3):
        assert server.dig(NAME, "AAAA", source="127.1.0.1") == ["2001:db8::5"]
        assert server.dig(NAME, "AAAA", source="127.2.0.1") == ["2001:db8::9"]
        assert server.dig(NAME, "A", source="127.1.0.1") == IN_SINGAPORE
        assert server.dig(NAME, "A", source="127.2.0.1") == IN_TOKYO
    called = [
        each["parameters"]["remote"]
        for each in server.backend.calls
        if each["method"] == "lookup" and each["parameters"]["qtype"] == "ANY"
    ]
    assert {"127.1.0.1", "127.2.0.1"} <= set(called)


def test_clients_by_the_subnet_that_a_resolver_tells(server):
    """C28: a resolver's clients get the answer of their own subnet, valid for no more than that."""
    for _ in range(2):
        for subnet, expected in [
            ("10.1.2.0/24", IN_SINGAPORE),
            ("10.2.2.0/24", IN_TOKYO),
            ("2001:db8:2:100::/56", IN_TOKYO),
            ("10.2.0.0/16", IN_TOKYO),
        ]:
            asked = f"+subnet={subnet}"
            assert server.dig(NAME, "A", asked, source="127.1.0.1") == expected
    assert "10.2.2.0/24/24" in server.answer(NAME, "A", "+subnet=10.2.2.0/24")


@pytest.mark.parametrize("subnet", ["0.0.0.0/0", "::/0"])
def test_a_client_that_wants_not_to_be_told(server, subnet):
    """A subnet of length 0 tells of no client: the resolver's own address decides."""
    for _ in range(2):
        assert server.dig(NAME, "A", f"+subnet={subnet}", source="127.2.0.1") == IN_TOKYO
        assert server.dig(NAME, "A", f"+subnet={subnet}", source="127.1.0.1") == IN_SINGAPORE


def test_none_of_a_type_is_told_to_all(tmp_path):
    """PowerDNS gives "no address" of one client to all others, whatever its scope: so a catalogue
    has regions of the same families alone.
    """
    lacking = replace(SINGAPORE, addresses=SINGAPORE.addresses[:1])
    mixed = Nearness(catalogue(lacking, TOKYO), Situation(), lambda _: None)
    with powerdns(tmp_path, lambda body: respond(body, ZONE, mixed.rank)) as server:
        assert server.dig(NAME, "AAAA", source="127.1.0.1") == []
        assert server.dig(NAME, "AAAA", source="127.2.0.1") == []
    with pytest.raises(CatalogueInvalid, match=r"ap-singapore.*expected one of IPv6 too"):
        catalogue_of(document_of(mixed.catalogue))


@pytest.mark.parametrize(
    ("name", "kind", "contents"),
    [
        (NAME, "NS", ["ns1.example.com."]),
        (NAME, "SOA", ["ns1.example.com. ops.example.com. 7 3600 600 604800 30"]),
        (NAME, "TXT", ['"region=ap-singapore by=network"']),
        (f"SG.{NAME}", "A", IN_SINGAPORE),
        (NAME, "MX", []),
    ],
)
def test_types(server, name, kind, contents):
    """Each type has its records."""
    assert server.dig(name, kind, source="127.1.0.1") == contents


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        (NAME, "A", "NOERROR"),
        (NAME, "TYPE65534", "NOERROR"),
        (f"nothing.{NAME}", "A", "NXDOMAIN"),
        (f"*.{NAME}", "A", "NXDOMAIN"),
        ("example.com", "A", "REFUSED"),
        ("example.org", "ANY", "REFUSED"),
    ],
)
def test_statuses(server, name, kind, status):
    """What isn't in the zone doesn't exist, and what isn't ours is refused."""
    assert server.status(name, kind) == status


def test_one_call_for_one_answer(server):
    """Once the zone is known, an answer takes one call."""
    server.dig(NAME, "A", source="127.1.0.1")
    before = len(server.backend.calls)
    server.dig(NAME, "A", source="127.1.0.1")
    assert len(server.backend.calls) == before + 1


def test_own_names_are_cached(server):
    """The answer that is the same for all is asked for once, whoever asks next."""
    assert server.dig(f"sg.{NAME}", "A", source="127.1.0.1") == IN_SINGAPORE
    before = len(server.backend.calls)
    for source in ("127.2.0.1", "127.2.0.2"):
        assert server.dig(f"sg.{NAME}", "A", source=source) == IN_SINGAPORE
    assert len(server.backend.calls) == before
