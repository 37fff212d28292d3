"""The records of a zone."""

from ipaddress import ip_address

import pytest

from geo.catalogue import SUBNET_BITS
from geo.nearness import Nearness
from geo.records import RecordType, Zone
from geo.situation import Situation
from tests.support.geo import catalogue, region

ZONE = Zone(
    "Registry.example.com", 10, ("ns1.example.com", "ns2.example.com."), "ops.example.com", 7
)
SINGAPORE = region(
    "ap-singapore",
    "10.1.0.0/16",
    addresses=tuple(map(ip_address, ("203.0.113.5", "203.0.113.6", "2001:db8::5"))),
    host="sg.registry.example.com",
)
TOKYO = region("ap-tokyo", "10.3.0.0/28", host="tokyo.example.org")
NEARNESS = Nearness(catalogue(SINGAPORE, TOKYO), Situation(), lambda _: None)
HERE, THERE = ip_address("10.1.2.3"), ip_address("10.3.0.1")


def answer(qname, qtype, client=HERE):
    return [
        (str(each.type), each.content, each.scope_bits)
        for each in ZONE.answer(qname, qtype, NEARNESS.rank(client))
    ]


@pytest.mark.parametrize(
    ("qname", "qtype", "client", "records"),
    [
        ("registry.example.com", "A", HERE, [("A", "203.0.113.5", 24), ("A", "203.0.113.6", 24)]),
        ("REGISTRY.EXAMPLE.COM.", "a", HERE, [("A", "203.0.113.5", 24), ("A", "203.0.113.6", 24)]),
        ("registry.example.com", "AAAA", HERE, [("AAAA", "2001:db8::5", 24)]),
        ("registry.example.com", "A", THERE, [("A", str(TOKYO.addresses[0]), 24)]),
        ("registry.example.com", "AAAA", THERE, []),
        ("registry.example.com", "A", ip_address("2001:db8::1"),
         [("A", "203.0.113.5", 56), ("A", "203.0.113.6", 56)]),
        ("registry.example.com", "A", None, [("A", "203.0.113.5", 24), ("A", "203.0.113.6", 24)]),
        ("registry.example.com", "NS", HERE,
         [("NS", "ns1.example.com.", 0), ("NS", "ns2.example.com.", 0)]),
        ("registry.example.com", "SOA", HERE,
         [("SOA", "ns1.example.com. ops.example.com. 7 3600 600 604800 10", 0)]),
        ("registry.example.com", "TXT", HERE,
         [("TXT", '"region=ap-singapore by=network"', 24)]),
        ("registry.example.com", "MX", HERE, []),
        # A region's own name is the same for all; one outside of the zone isn't ours to answer.
        ("sg.registry.example.com", "A", THERE, [("A", "203.0.113.5", 0), ("A", "203.0.113.6", 0)]),
        ("sg.registry.example.com", "SOA", THERE, []),
        ("tokyo.example.org", "A", HERE, []),
        ("other.registry.example.com", "A", HERE, []),
        ("notregistry.example.com", "A", HERE, []),
        ("", "A", HERE, []),
    ],
)  # fmt: skip
def test_answers(qname, qtype, client, records):
    """Each name and type has its records, for the client's region where that matters."""
    assert answer(qname, qtype, client) == records


def test_any_is_all_types():
    """A question for any type gives all that the name has, the shared name's start with the SOA."""
    assert [kind for kind, _, _ in answer("registry.example.com", "ANY")] == [
        "SOA", "NS", "NS", "A", "A", "AAAA", "TXT",
    ]  # fmt: skip


@pytest.mark.parametrize("client", [HERE, THERE, None, ip_address("2001:db8::1")])
def test_what_depends_on_the_client_has_a_scope(client):
    """No answer that depends on the client may be given to all, or beyond its /24 or /56."""
    for each in ZONE.answer("registry.example.com", "ANY", NEARNESS.rank(client)):
        depends = each.type in {RecordType.A, RecordType.AAAA, RecordType.TXT}
        assert (each.scope_bits > 0) == depends
        assert each.scope_bits in {0, *SUBNET_BITS.values()}


def test_text_says_no_reason():
    """The TXT record is for everybody: no private network, no sick region, and short."""
    ranking = NEARNESS.rank(HERE)
    ranking.reason = 'a "quote" \\ é \n' + "x" * 400
    (record,) = ZONE.answer("registry.example.com", "TXT", ranking)
    assert record.content == '"region=ap-singapore by=network"'
