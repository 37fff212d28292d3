"""Coordinates and the great circle between them."""

from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

MEAN_RADIUS_KM = 6371.0088
"""Of the Earth: the mean of its three axes (IUGG)."""
MAX_LATITUDE = 90.0
MAX_LONGITUDE = 180.0


class Coordinates(NamedTuple):
    """A point on the Earth, in degrees: north and east are positive."""

    latitude: float
    longitude: float

    @property
    def is_on_earth(self) -> bool:
        """Say whether both are in range; what isn't a number is not."""
        return abs(self.latitude) <= MAX_LATITUDE and abs(self.longitude) <= MAX_LONGITUDE


def distance_km(a: Coordinates, b: Coordinates) -> float:
    """Give the length of the great circle from *a* to *b* (haversine: exact for near points)."""
    latitude_a, latitude_b = radians(a.latitude), radians(b.latitude)
    half_north = sin((latitude_b - latitude_a) / 2)
    half_east = sin(radians(b.longitude - a.longitude) / 2)
    square = half_north * half_north + cos(latitude_a) * cos(latitude_b) * half_east * half_east
    return 2 * MEAN_RADIUS_KM * asin(min(1.0, sqrt(square)))
