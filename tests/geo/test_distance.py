"""Great circles against distances that others publish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.distance import Coordinates, distance_km

LONDON, PARIS = Coordinates(51.5074, -0.1278), Coordinates(48.8566, 2.3522)
QUARTER_KM = 10_007.56
points = st.builds(
    Coordinates,
    st.floats(-90, 90, allow_nan=False),
    st.floats(-180, 180, allow_nan=False),
)


@pytest.mark.parametrize(
    ("a", "b", "km"),
    [
        (LONDON, PARIS, 343.6),
        (Coordinates(1.35, 103.82), Coordinates(35.68, 139.69), 5312),
        (Coordinates(0, 179.5), Coordinates(0, -179.5), 111.2),
        (Coordinates(90, 0), Coordinates(0, 17), QUARTER_KM),
        (Coordinates(0, 0), Coordinates(0, 180), 2 * QUARTER_KM),
        (Coordinates(90, 10), Coordinates(90, -120), 0),
    ],
    ids=["cities", "far", "date line", "pole", "antipodes", "same pole"],
)
def test_known_distances(a, b, km):
    """The great circle is as long as published, over poles and the date line too."""
    assert distance_km(a, b) == pytest.approx(km, rel=2e-3, abs=0.01)


@given(points, points)
def test_distance_is_symmetric_and_bounded(a, b):
    """Any two points are between nothing and half the Earth apart, in both directions alike."""
    assert distance_km(a, b) == pytest.approx(distance_km(b, a), abs=1e-6)
    assert 0 <= distance_km(a, b) <= 2 * QUARTER_KM + 1
    assert distance_km(a, a) == 0


@pytest.mark.parametrize(
    "point", [(91, 0), (0, 181), (-90.1, 0), (float("nan"), 0), (0, float("inf"))]
)
def test_points_off_the_earth(point):
    """What is no point on the Earth says so."""
    assert not Coordinates(*point).is_on_earth
