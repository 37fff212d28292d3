"""The weather of the link: what transfers from each place were like lately.

A place is an address of the primary or of its storage. What is known of it is forgotten after some
minutes, so that a bad hour isn't remembered for ever, nor a good one.
"""

from collections.abc import Callable
from dataclasses import dataclass

Place = tuple[str, int]
NOWHERE: Place = ("", 0)

REMEMBERED_SECONDS = 300.0
SHORTEST_WINDOW_SECONDS = 0.05
_NEWEST_SHARE = 0.3
MAX_PLACES = 64


@dataclass(slots=True)
class _Lately:
    """A number with the moment until which it counts."""

    value: float
    until: float


class Weather:
    """One place: round trip in seconds, rate in bytes a second, connections that were worth it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, _Lately] = {}

    def _get(self, name: str) -> float | None:
        known = self._known.get(name)
        return known.value if known is not None and known.until > self._clock() else None

    def _set(self, name: str, value: float) -> None:
        self._known[name] = _Lately(value, self._clock() + REMEMBERED_SECONDS)

    def _smooth(self, name: str, value: float) -> None:
        before = self._get(name)
        new = value if before is None else before + _NEWEST_SHARE * (value - before)
        self._set(name, new)

    # --- what is noted ----------------------------------------------------------------------------

    def note_round_trip(self, seconds: float) -> None:
        """Note how long a small question took to be answered."""
        self._smooth("round trip", seconds)

    def note_rate(self, bytes_per_second: float) -> None:
        """Note what one transfer reached."""
        self._smooth("rate", bytes_per_second)

    def note_lanes(self, lanes: int) -> None:
        """Note how many connections were worth their while for one transfer."""
        self._set("lanes", lanes)

    def note_less_wanted(self, lanes: int) -> None:
        """Note that so many connections were too many for the other side."""
        self._set("most lanes", max(1, lanes // 2))

    # --- what is known ----------------------------------------------------------------------------

    @property
    def rate(self) -> float | None:
        """What transfers reach, if any was seen lately."""
        return self._get("rate")

    @property
    def window_seconds(self) -> float:
        """Over how long a rate has to be measured to mean something."""
        return max(SHORTEST_WINDOW_SECONDS, 1.5 * self.round_trip)

    @property
    def round_trip(self) -> float:
        """How long a question takes; 0 where none was seen lately."""
        return self._get("round trip") or 0.0

    @property
    def lanes(self) -> int | None:
        """How many connections were worth their while, if that is known."""
        known = self._get("lanes")
        return None if known is None else int(known)

    def most_lanes(self, limit: int) -> int:
        """Give how many it may try."""
        return min(limit, int(self._get("most lanes") or limit))


class LinkWeather:
    """The weather by place."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._places: dict[Place, Weather] = {}

    def at(self, place: Place) -> Weather:
        """Give the weather of one place."""
        weather = self._places.get(place)
        if weather is None:
            if len(self._places) >= MAX_PLACES:
                del self._places[next(iter(self._places))]
            weather = self._places[place] = Weather(self._clock)
        return weather

    def best_first(self, places: tuple[Place, ...]) -> tuple[Place, ...]:
        """Give places in their order, those last that lately reached less than half of the best."""
        rates = {place: rate for place in places if (rate := self.at(place).rate) is not None}
        least = max(rates.values(), default=0.0) / 2
        return tuple(sorted(places, key=lambda place: rates.get(place, least) < least))
