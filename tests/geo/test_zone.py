"""Zones for servers that don't ask."""

import json
from ipaddress import ip_address

from geo.nearness import Nearness
from geo.records import Zone
from geo.situation import Situation, Standing
from geo.zone import zone_document, zone_text
from tests.support.geo import blocks, catalogue, region

ZONE = Zone("registry.example.com", 10, ("ns1.example.com",), "ops.example.com", 7)
SINGAPORE = region(
    "ap-singapore", addresses=(ip_address("203.0.113.5"),), host="sg.registry.example.com"
)
TOKYO = region("ap-tokyo", addresses=(ip_address("203.0.113.9"), ip_address("2001:db8::9")))
WORLD = catalogue(SINGAPORE, TOKYO)


def nearness(*down, **linked):
    networks = {name.replace("_", "-"): blocks(each) for name, each in linked.items()}
    return Nearness(WORLD, Situation(dict.fromkeys(down, Standing.DOWN), networks), lambda _: None)


def test_zone_file():
    """A region's zone file holds the zone's records with its own answer."""
    assert (
        zone_text(ZONE, nearness().rank_from(TOKYO))
        == """\
$ORIGIN registry.example.com.
$TTL 10
registry.example.com. 10 IN SOA ns1.example.com. ops.example.com. 7 3600 600 604800 10
registry.example.com. 10 IN NS ns1.example.com.
registry.example.com. 10 IN A 203.0.113.9
registry.example.com. 10 IN AAAA 2001:db8::9
registry.example.com. 10 IN TXT "region=ap-tokyo by=network"
sg.registry.example.com. 10 IN A 203.0.113.5
"""
    )


def test_document():
    """The document has every region's addresses, by name, and why; it is JSON."""
    document = json.loads(json.dumps(zone_document(ZONE, nearness("ap-tokyo"))))
    assert document["domain"] == "registry.example.com"
    answers = {name: each["answer"] for name, each in document["regions"].items()}
    assert answers == {"ap-singapore": "ap-singapore", "ap-tokyo": "ap-singapore"}
    assert document["regions"]["ap-tokyo"]["reason"] == "ap-tokyo is down: spread"
    assert document["regions"]["ap-tokyo"]["records"] == [
        {"name": "registry.example.com", "type": "A", "content": "203.0.113.5"},
        {"name": "sg.registry.example.com", "type": "A", "content": "203.0.113.5"},
    ]


def test_it_changes_with_the_situation_alone():
    """The document is the same for the same situation, whatever the zone's serial, so that whoever
    compares it sees changes alone.
    """
    again = Zone(ZONE.domain, ZONE.ttl_seconds, ZONE.nameservers, ZONE.hostmaster, serial=8)
    assert zone_document(ZONE, nearness()) == zone_document(again, nearness())
    assert zone_document(ZONE, nearness()) != zone_document(ZONE, nearness("ap-tokyo"))


def test_closed_neighbours_take_nobody():
    """A region that is closed to others isn't the answer in their zones."""
    closed = nearness("ap-tokyo", ap_singapore="10.1.0.0/16")
    assert zone_document(ZONE, closed)["regions"]["ap-tokyo"]["answer"] == "ap-tokyo"
