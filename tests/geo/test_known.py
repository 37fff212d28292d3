"""The shipped regions and countries."""

import pytest

from geo.distance import Coordinates, distance_km
from geo.known import country_centres, known_region, known_regions

BEIJING = Coordinates(39.9, 116.4)


@pytest.mark.parametrize(
    ("name", "number", "near"),
    [
        ("ap-singapore", 9, "ap-southeast-1"),
        ("ap-guangzhou", 1, "ap-hongkong"),
        ("ap-jakarta", 72, "ap-southeast-3"),
        ("na-ashburn", 22, "us-east-1"),
        ("na-siliconvalley", 15, "us-west-1"),
        ("sa-saopaulo", 74, "sa-east-1"),
        ("eu-frankfurt", 17, "eu-central-1"),
        ("ap-mumbai", 21, "ap-south-1"),
        ("ap-seoul", 18, "ap-northeast-2"),
        ("ap-tokyo", 25, "ap-northeast-1"),
        ("ap-bangkok", 23, "ap-southeast-7"),
        ("ap-beijing", 8, "cn-north-1"),
        ("me-saudi-arabia", 101, "me-south-1"),
    ],
)
def test_clouds_agree_on_cities(name, number, near):
    """A region of Tencent's has its number and lies where AWS's region of that city does."""
    found, other = known_region(name), known_region(near)
    assert found.number == number
    assert distance_km(found.coordinates, other.coordinates) < 450


def test_every_region_has_a_place():
    """Each known region lies on land that people know by name, under a number of its own."""
    regions = known_regions()
    assert len(regions) >= 60
    for name, each in regions.items():
        assert each.name == name
        assert each.place
        assert each.coordinates.is_on_earth
    numbers = [each.number for each in regions.values() if each.number is not None]
    assert len(numbers) == len(set(numbers)) >= 24


def test_unknown_region():
    """A name that is no cloud's is nobody's."""
    assert known_region("mars-north-1") is None


def test_every_country_has_a_middle():
    """All codes of ISO 3166-1 have a point, and the points are where the countries are."""
    centres = country_centres()
    assert len(centres) >= 249
    assert all(len(code) == 2 and code.isupper() for code in centres)
    assert all(each.is_on_earth for each in centres.values())
    for code, city, km in [
        ("SG", known_region("ap-singapore").coordinates, 30),
        ("KR", known_region("ap-seoul").coordinates, 200),
        ("DE", known_region("eu-central-1").coordinates, 200),
        ("CN", BEIJING, 1300),
        ("BR", known_region("sa-east-1").coordinates, 2000),
        ("AU", known_region("ap-southeast-2").coordinates, 2200),
    ]:
        assert distance_km(centres[code], city) < km, code
