"""The weather of the link: remembered for minutes, by place."""

import pytest

from proxy.net.weather import REMEMBERED_SECONDS, LinkWeather, Weather

NEAR, FAR = ("10.0.0.1", 443), ("10.0.0.2", 443)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def weather(clock: Clock) -> LinkWeather:
    return LinkWeather(clock)


def test_nothing_is_known_at_first(weather: LinkWeather) -> None:
    """A place that was never used has no numbers, and its order is the settings'."""
    here = weather.at(NEAR)
    assert (here.rate, here.lanes, here.round_trip) == (None, None, 0.0)
    assert here.most_lanes(16) == 16
    assert weather.best_first((NEAR, FAR)) == (NEAR, FAR)


def test_it_is_forgotten_after_a_while(weather: LinkWeather, clock: Clock) -> None:
    """A bad hour isn't remembered for ever."""
    here = weather.at(NEAR)
    _note_all(here)
    clock.now += REMEMBERED_SECONDS - 1
    assert (here.rate, here.lanes, here.most_lanes(16)) == (5e6, 8, 3)
    clock.now += 2
    assert (here.rate, here.lanes, here.most_lanes(16)) == (None, None, 16)


def _note_all(here: Weather) -> None:
    here.note_rate(5e6)
    here.note_lanes(8)
    here.note_less_wanted(6)
    here.note_round_trip(0.04)


def test_an_outlier_moves_a_number_a_little(weather: LinkWeather) -> None:
    """Rates and round trips are smoothed: the newest counts for a third."""
    here = weather.at(NEAR)
    for seconds in (0.040, 0.040, 1.040):
        here.note_round_trip(seconds)
    assert here.round_trip == pytest.approx(0.340)


@pytest.mark.parametrize(
    ("near", "far", "order"),
    [
        (10e6, 100e6, (FAR, NEAR)),
        (60e6, 100e6, (NEAR, FAR)),
        (10e6, None, (NEAR, FAR)),
        (None, 100e6, (NEAR, FAR)),
    ],
)
def test_a_slow_address_is_the_last(
    weather: LinkWeather, near: float | None, far: float | None, order: tuple[object, ...]
) -> None:
    """The settings' order holds unless an address lately reached less than half of another's."""
    for place, rate in ((NEAR, near), (FAR, far)):
        if rate is not None:
            weather.at(place).note_rate(rate)
    assert weather.best_first((NEAR, FAR)) == order


def test_the_number_of_places_is_bounded(weather: LinkWeather) -> None:
    """Addresses come and go with DNS and storage: the oldest is forgotten."""
    for number in range(1000):
        weather.at(("10.0.0.1", number)).note_lanes(4)
    assert weather.at(("10.0.0.1", 999)).lanes == 4
    assert weather.at(("10.0.0.1", 1)).lanes is None
