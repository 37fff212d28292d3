"""Catalogue files: what they give, and what is said of wrong ones."""

import json
import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geo.catalogue import Catalogue
from geo.known import known_region
from geo.lines import lines_of
from geo.problems import CatalogueInvalid
from geo.reading import catalogue_of, document_of, read_catalogue
from tests.support.geo import blocks

GOOD = """\
default = "ap-singapore"
[regions.ap-singapore]
addresses = ["203.0.113.5", "2001:db8::5"]
host = "SG.registry.example.com"
networks = ["10.1.0.0/16", "2001:db8:1::/48"]
weight = 2
fallback = ["dc-east"]
ready = "http://10.1.0.5:9100/readyz"

[regions.dc-east]
addresses = ["203.0.113.6", "2001:db8::6"]
networks = [
  "10.2.0.0/16",
  "10.1.7.0/24",  # within the other's
]
number = 9001
coordinates = [48, 11.5]
drain = true
"""


def test_good_catalogue():
    """A catalogue gives its regions in order; a known name is enough for number and coordinates."""
    found = read_catalogue(GOOD)
    assert [each.name for each in found.regions] == ["ap-singapore", "dc-east"]
    singapore, east = found.regions
    assert (singapore.number, singapore.coordinates) == (
        9,
        known_region(singapore.name).coordinates,
    )
    assert [str(each) for each in singapore.addresses] == ["203.0.113.5", "2001:db8::5"]
    assert (singapore.host, singapore.weight) == ("sg.registry.example.com", 2)
    assert (singapore.fallback, singapore.is_drained) == (("dc-east",), False)
    assert singapore.ready_url == "http://10.1.0.5:9100/readyz"
    assert east.networks == blocks("10.2.0.0/16", "10.1.7.0/24")
    assert (east.number, east.coordinates, east.is_drained) == (9001, (48.0, 11.5), True)
    assert found.region("dc-east") is east
    assert found.region("nowhere") is None


def test_document_and_back():
    """The document of a catalogue, through JSON, gives the same catalogue."""
    found = read_catalogue(GOOD)
    assert catalogue_of(json.loads(json.dumps(document_of(found)))) == found


def test_other_forms_of_toml():
    """Inline tables, dotted keys and quotes are the same catalogue."""
    text = """\
    regions = { "ap-seoul" = { addresses = ['203.0.113.5'], weight = 3 } }
    "default" = "ap-seoul"
    """
    assert read_catalogue(text).regions[0].weight == 3


def problems_of(text):
    with pytest.raises(CatalogueInvalid) as caught:
        read_catalogue(text)
    return [(each.line, each.message) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (
            'default = "ap-singapore"',
            'default = "ap-tokyo"',
            1,
            "default: 'ap-tokyo': expected the",
        ),
        ('default = "ap-singapore"', "default = 7", 1, "default: 7: expected the name"),
        ('default = "ap-singapore"', "", 1, "default: None: expected the name"),
        ('"203.0.113.5"', '"203.0.113.256"', 3, "expected an IPv4 or IPv6 address"),
        ('"203.0.113.5"', '"::ffff:203.0.113.5"', 3, "no IPv4-mapped address"),
        ('"203.0.113.5"', '"fe80::1%eth0"', 3, "no zone"),
        ('"203.0.113.5"', '"0.0.0.0"', 3, "no region can answer there"),
        ('"203.0.113.5"', '"224.0.0.1"', 3, "no region can answer there"),
        ('"203.0.113.5"', '"203.0.113.6"', 11, "203.0.113.6 belongs to ap-singapore too (line 3)"),
        (
            '["203.0.113.6", "2001:db8::6"]',
            "[]",
            11,
            "regions.dc-east.addresses: expected one at least",
        ),
        (', "2001:db8::6"', "", 11, "addresses: expected one of IPv6 too, since other regions"),
        ('"203.0.113.6", ', "", 11, "addresses: expected one of IPv4 too, since other regions"),
        (
            '["203.0.113.6", "2001:db8::6"]',
            '"203.0.113.6"',
            11,
            "expected a list, not '203.0.113.6'",
        ),
        ('"SG.registry.example.com"', '"a b"', 4, "expected a host name"),
        ('"10.1.0.0/16"', '"10.1.0.1/16"', 5, "has host bits set; meant 10.1.0.0/16?"),
        ('"10.1.0.0/16"', '"10.1.0.0"', 5, "expected a block such as 10.1.0.0/16"),
        ('"10.1.0.0/16"', '"::ffff:10.1.0.0/112"', 5, "IPv4-mapped; write the IPv4 block"),
        ('"10.1.0.0/16"', '"::ffff:10.1.0.1/112"', 5, "IPv4-mapped; write the IPv4 block"),
        ('"10.1.7.0/24"', '"10.1.0.0/16"', 14, "10.1.0.0/16 belongs to ap-singapore too (line 5)"),
        ('"10.1.7.0/24"', '"10.2.0.0/16"', 14, "10.2.0.0/16 stands twice here (line 13)"),
        ("weight = 2", "weight = 0", 6, "weight: 0: expected a whole number, 1 to 1000"),
        ("weight = 2", "weight = true", 6, "expected a whole number"),
        ('["dc-east"]', '["dc-west"]', 7, "dc-west: expected the name of another region"),
        ('["dc-east"]', '["ap-singapore"]', 7, "expected the name of another region"),
        ('["dc-east"]', '["dc-east", "dc-east"]', 7, "dc-east stands twice here"),
        ("http://10.1.0.5:9100/readyz", "ftp://10.1.0.5/", 8, "expected a URL"),
        ("http://10.1.0.5:9100/readyz", "http://me:pw@10.1.0.5/", 8, "expected a URL"),
        ("http://10.1.0.5:9100/readyz", "http://10.1.0.5:99999/", 8, "expected a URL"),
        ("number = 9001", "number = 9", 16, "9 belongs to ap-singapore too (line 2)"),
        ("number = 9001", "number = -1", 16, "expected a whole number"),
        ("coordinates = [48, 11.5]", "coordinates = [148, 11.5]", 17, "[latitude, longitude]"),
        ("coordinates = [48, 11.5]", "coordinates = [48, nan]", 17, "[latitude, longitude]"),
        ("coordinates = [48, 11.5]", "", 10, "coordinates: needed, since no known region"),
        ("drain = true", 'drain = "yes"', 18, "drain: 'yes': expected true or false"),
        ("drain = true", "colour = 1", 18, "regions.dc-east.colour: no such key; known: addresses"),
        ("[regions.dc-east]", "[regions.DC_east]", 10, "expected small letters"),
        ("[regions.dc-east]", '[regions."\\u001b[31m"]', 10, "\\x1b[31m"),
        ("[regions.dc-east]", "[[regions.dc-east]]", 10, "expected a table, not [{"),
        ("[regions.dc-east]", "[more]\n[regions.dc-east]", 10, "more: no such key; known: default"),
        ("weight = 2", "weight = = 2", 6, "Invalid value"),
        ("drain = true", "drain =", 18, "Invalid value"),
        ("weight = 2", "weight = 2\nweight = 3", 7, "Cannot overwrite a value"),
    ],
)
def test_wrong_catalogues(old, new, line, words):
    """What is wrong is told with its line, the place, and what was expected there."""
    assert old in GOOD
    found = problems_of(GOOD.replace(old, new, 1))
    assert any(at == line and words in message for at, message in found), found


def test_all_problems_at_once():
    """All that is wrong is told in one go, in the order of lines."""
    text = (
        GOOD.replace("weight = 2", "weight = 0")
        .replace("10.2.0.0/16", "10.2.0.1/16")
        .replace("10.1.7.0/24", "10.1.0.0/16")
        .replace("drain = true", "drain = 1")
    )
    assert [line for line, _ in problems_of(text)] == [6, 13, 14, 18]


def test_no_regions():
    """A catalogue without regions can't be used."""
    assert [message for _, message in problems_of("")] == [
        "default: None: expected the name of one of the regions",
        "regions: expected 1 to 1000 tables [regions.NAME]",
    ]


def reading(read, given):
    """Give the catalogue, or what is wrong with it."""
    try:
        return read(given)
    except CatalogueInvalid as exc:
        return exc.problems


@pytest.mark.parametrize("depth", [10, 100_000])
def test_deep_nesting(depth):
    """Lists within lists, however deep, are a wrong catalogue and nothing worse."""
    assert problems_of(f"default = {'[' * depth}{']' * depth}")


def test_oversized():
    """A text of no sensible size isn't read at all."""
    assert "longer than" in problems_of("#" * (8 * 1024 * 1024 + 1))[0][1]


LINES = st.sampled_from(GOOD.splitlines())
WORDS = st.sampled_from(["[", "]", '"', '"""', "'", "=", ".", "{", "}", ",", "\n", "\\", "regions"])


@given(st.lists(LINES | WORDS | st.text(max_size=20), max_size=30).map("\n".join))
@example("a = [")
@example("\x00")
def test_junk_text(text):
    """Whatever a file says, it gives a catalogue or problems, each with a line that it has."""
    found = reading(read_catalogue, text)
    assert isinstance(found, Catalogue) or found
    if not isinstance(found, Catalogue):
        assert all(0 <= each.line <= text.count("\n") + 1 for each in found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=10,
)
KEYS = ["addresses", "networks", "weight", "fallback", "number", "coordinates", "host", "ready"]


@given(st.data())
def test_junk_documents(data):
    """Whatever a hub's document holds, it gives a catalogue or says what is wrong."""
    document = document_of(read_catalogue(GOOD))
    table = document["regions"]["dc-east"]
    table[data.draw(st.sampled_from(KEYS))] = data.draw(json_values)
    for each in (document, data.draw(json_values), {"regions": data.draw(json_values)}):
        assert reading(catalogue_of, each)


def test_lines_of_what_tomllib_takes():
    """Each key of a document that uses all of TOML's forms has the line on which it stands."""
    text = """\
# a = 1
a.b = "x # no comment"
long = \"\"\"
[not.a.table] = \\\"\"\"
\"\"\"
'single' = '''
k = ["
'''
list = [
  1, 2.5, [ 1979-05-27T07:32:00Z,
  "]" ],
  { x = 1, y = [
    3 ] },
]
[t."quoted key"]
k = -inf
[[many]]
k = 0x_0
"""
    text = text.replace("0x_0", "0xdead")
    assert tomllib.loads(text)["many"][0]["k"] == 0xDEAD
    found = lines_of(text)
    expected = {
        ("a",): 2,
        ("a", "b"): 2,
        ("long",): 3,
        ("single",): 6,
        ("list",): 9,
        ("list", 0): 10,
        ("list", 1): 10,
        ("list", 2): 10,
        ("list", 2, 1): 11,
        ("list", 3): 12,
        ("list", 3, "y"): 12,
        ("list", 3, "y", 0): 13,
        ("t", "quoted key"): 15,
        ("t", "quoted key", "k"): 16,
        ("many",): 17,
        ("many", "k"): 18,
    }
    assert {path: found.get(path) for path in expected} == expected
    assert not [path for path in found if "not" in path]


def test_a_catalogue_of_a_newer_hub_is_read() -> None:
    """Keys that are misspelt in a file are problems; in what a hub sends they are news, and DNS
    goes on.
    """
    document = document_of(read_catalogue(GOOD))
    expected = catalogue_of(document)
    document["shape"] = "round"
    for table in document["regions"].values():
        table["tariff"] = {"night": 1}
    assert catalogue_of(document) == expected
