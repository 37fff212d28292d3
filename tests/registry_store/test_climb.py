"""How many connections a transfer is worth: found by trying, against links of known shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.registry.climb import Climb


def settle(climb: Climb, rate_of: "dict[int, float]") -> list[int]:
    """Let a climb try until it has settled; give what it tried."""
    climb.measured_alone(rate_of[1])
    tried = [climb.lanes]
    while not climb.is_settled:
        climb.measured(rate_of[climb.lanes])
        tried.append(climb.lanes)
    return tried


def shared(per_lane: float, whole: float) -> dict[int, float]:
    """Give the rates of a link by lanes: each brings so much, all together no more than *whole*."""
    return {lanes: min(whole, lanes * per_lane) for lanes in range(1, 65)}


@pytest.mark.parametrize(
    ("per_lane", "most", "tried"),
    [
        (100.0, 16, [4, 1]),
        (12.5, 16, [4, 8, 16, 8]),
        (12.5, 8, [4, 8, 8]),
        (25.0, 16, [4, 8, 4]),
        (1.0, 64, [4, 8, 16, 32, 64, 64]),
        (12.5, 2, [2, 2]),
    ],
)
def test_it_finds_what_a_link_rewards(per_lane: float, most: int, tried: list[int]) -> None:
    """A link that carries 100: as many lanes as bring more, and no more than are allowed."""
    assert settle(Climb(None, most), shared(per_lane, 100.0)) == tried


@given(st.floats(0.5, 200), st.integers(1, 64))
def test_it_settles_near_the_best(per_lane: float, most: int) -> None:
    """Whatever the link, it settles within a few tries, at three quarters of what could be had."""
    rates = shared(per_lane, 100.0)
    climb = Climb(None, most)
    assert len(settle(climb, rates)) <= 6
    assert 1 <= climb.lanes <= most
    assert rates[climb.lanes] >= 0.75 * rates[most]


def test_what_is_known_is_used_at_once() -> None:
    """A link that was tried lately isn't tried again."""
    climb = Climb(8, 16)
    assert (climb.lanes, climb.is_settled) == (8, True)
    climb.measured(0.0)
    assert climb.lanes == 8


def test_less_is_less() -> None:
    """Held at a number it uses no more, at least one, and tries nothing any more."""
    climb = Climb(None, 16)
    for lanes, used in ((8, 4), (2, 2), (3, 2), (0, 1)):
        climb.hold_at(lanes)
        assert (climb.lanes, climb.most) == (used, used)
    climb.measured(1e9)
    assert climb.lanes == 1
