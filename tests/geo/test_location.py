"""Database files: what they say, and what happens when they change."""

import os
import shutil
import threading
from ipaddress import ip_address
from pathlib import Path

import maxminddb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo.location import DatabaseUnusable, Locations
from tests.support.waiting import wait_until

DATA = Path(__file__).parents[1] / "data" / "geo"
CITY = DATA / "GeoIP2-City-Test.mmdb"
BROKEN = DATA / "GeoIP2-City-Test-Broken-Double-Format.mmdb"
INVALID = DATA / "GeoIP2-City-Test-Invalid-Node-Count.mmdb"
SWEDEN, JAPAN, NOBODY = map(ip_address, ("89.160.20.112", "2001:218::1", "1.1.1.1"))


@pytest.fixture
def path(tmp_path):
    return Path(shutil.copy(CITY, tmp_path / "city.mmdb"))


def replace(path, source):
    """Put another file in the place of one, as tools that update databases do."""
    beside = path.with_suffix(".new")
    shutil.copy(source, beside)
    beside.replace(path)


def test_a_city_database(path):
    """Addresses of both families have their places, one that isn't in it has none."""
    locations = Locations(path)
    locations.open()
    assert locations.place_of(SWEDEN).label == "Linköping, SE"
    assert locations.place_of(JAPAN).label == "JP"
    assert locations.place_of(NOBODY) is None
    assert locations.about.startswith("GeoIP2-City of 20")


def test_cached_places_are_those_of_the_file(path):
    """Of every network in the file the first and last address have the place that the file says,
    asked once and again, where networks are shorter than a cached block too.
    """
    locations = Locations(path)
    locations.open()
    with maxminddb.open_database(path) as reader:
        networks = [network for network, _ in reader]
        assert any(each.prefixlen > 24 for each in networks if each.version == 4)
        for network in networks:
            for probe in (network.network_address, network.broadcast_address):
                told = (reader.get(probe) or {}).get("location", {}).get("latitude")
                for _ in range(2):
                    place = locations.place_of(probe)
                    if told is not None:
                        assert place.coordinates.latitude == told


def test_cache_is_bounded(path, monkeypatch):
    """However many addresses ask, the cache stays within its bound."""
    monkeypatch.setattr("geo.location.MAX_CACHED", 8)
    locations = Locations(path)
    locations.open()
    for block in range(100):
        locations.place_of(ip_address((1 << 24) + (block << 8)))
        assert len(locations._database._cache) <= 8


def test_no_database():
    """Without a file no address has a place, and nothing is wrong."""
    locations = Locations(None)
    locations.open()
    assert (locations.reload_if_changed(), locations.place_of(SWEDEN), locations.about) == (
        None,
        None,
        "",
    )


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (BROKEN, "not a sound MaxMind DB file"),
        (INVALID, "not a sound MaxMind DB file"),
        (Path(__file__), "not a sound MaxMind DB file"),
        (Path("/dev/null"), "not a sound MaxMind DB file"),
        (None, "No such file"),
        (DATA, "Is a directory"),
    ],
    ids=["bad records", "bad tree", "text", "empty", "missing", "folder"],
)
def test_unusable_at_the_start(source, words):
    """A file that can't be used says why when it is opened."""
    locations = Locations(source or DATA / "missing.mmdb")
    with pytest.raises(DatabaseUnusable, match=words):
        locations.open()
    assert locations.place_of(SWEDEN) is None


def test_bad_records_open_without_complaint():
    """The library itself finds the damaged records at a lookup alone, which is why we look."""
    with maxminddb.open_database(BROKEN) as reader, pytest.raises(maxminddb.InvalidDatabaseError):
        reader.get(SWEDEN)


@pytest.mark.parametrize("source", [BROKEN, INVALID, Path(__file__)])
def test_a_damaged_file_keeps_the_one_in_use(path, source):
    """When the file is replaced by a damaged one, or goes, places stay, and it is said why until
    a sound one is there.
    """
    locations = Locations(path)
    locations.open()
    replace(path, source)
    for _ in range(2):
        assert "not a sound MaxMind DB file" in locations.reload_if_changed()
        assert locations.place_of(SWEDEN).label == "Linköping, SE"
    path.unlink()
    assert "No such file" in locations.reload_if_changed()
    assert locations.place_of(JAPAN).label == "JP"
    replace(path, CITY)
    assert locations.reload_if_changed() is None


def test_a_damaged_file_is_read_once(path, monkeypatch):
    """A file that can't be used isn't read again before it changes."""
    locations = Locations(path)
    locations.open()
    replace(path, BROKEN)
    first = locations.reload_if_changed()
    monkeypatch.setattr("geo.location._read", lambda _: pytest.fail("read again"))
    assert locations.reload_if_changed() == first


def test_truncated_in_place(path):
    """A file that is cut short while it is in use, as by a copy over it, harms nobody."""
    locations = Locations(path)
    locations.open()
    os.truncate(path, 0)
    assert locations.place_of(SWEDEN).label == "Linköping, SE"
    assert "not a sound" in locations.reload_if_changed()
    path.write_bytes(CITY.read_bytes()[:9000])
    assert "not a sound" in locations.reload_if_changed()
    assert locations.place_of(JAPAN).label == "JP"
    path.write_bytes(CITY.read_bytes())
    assert locations.reload_if_changed() is None


def test_lookups_go_on_while_it_reloads(path):
    """Lookups of one thread never fail nor wait while another thread puts in new files."""
    locations = Locations(path)
    locations.open()
    stop, found = threading.Event(), []

    def look():
        while not stop.is_set():
            place = locations.place_of(SWEDEN)
            found.append(place and place.label)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(20):
            before, count = locations._database, len(found)
            replace(path, CITY)
            assert locations.reload_if_changed() is None
            assert locations._database is not before
            wait_until(lambda count=count: len(found) > count, what="a lookup after the reload")
    finally:
        stop.set()
        looking.join()
    assert set(found) == {"Linköping, SE"}


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(st.data())
def test_any_damage(path, data):
    """Whatever bytes are changed or cut off, a file is used or refused, and lookups never raise."""
    content = bytearray(CITY.read_bytes())
    for _ in range(data.draw(st.integers(1, 30))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    locations = Locations(path)
    try:
        locations.open()
    except DatabaseUnusable:
        assert locations.place_of(SWEDEN) is None
    for each in (SWEDEN, JAPAN, NOBODY):
        locations.place_of(each)
