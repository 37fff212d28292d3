"""Where an address is, as a database has it."""

from typing import NamedTuple

from geo.distance import Coordinates


class Place(NamedTuple):
    """A point, and what people call it: "Linköping, SE", or the country alone.

    is_country: the point is the country's middle, since the database says no more.
    """

    coordinates: Coordinates
    label: str
    is_country: bool
