"""Who takes the clients of a region that is down."""

from collections import Counter
from ipaddress import IPv4Address

import pytest

from geo.nearness import Nearness
from geo.situation import Situation, Standing
from tests.support.geo import catalogue, names_of, region

CLIENTS = [IPv4Address((10 << 24) + (number << 8) + 7) for number in range(6000)]
HOME = region("ap-singapore", "10.0.0.0/8")
HEAVY, LIGHT, MIDDLE = (
    region("ap-tokyo", weight=3),
    region("ap-jakarta", weight=1),
    region("ap-hongkong", weight=2),
)
FAR = region("eu-frankfurt", weight=6)
WORLD = catalogue(HOME, HEAVY, LIGHT, MIDDLE, FAR)


def answers(*down, spread=3, standing=Standing.DOWN):
    nearness = Nearness(
        WORLD, Situation(dict.fromkeys(down, standing)), lambda _: None, spread=spread
    )
    return {each: nearness.rank(each).answer.name for each in CLIENTS}


@pytest.mark.parametrize("standing", [Standing.DOWN, Standing.DRAINED])
def test_shares_are_the_weights(standing):
    """The clients of a region that can't be used go to the next three by their weights 1:2:3."""
    shares = Counter(answers("ap-singapore", standing=standing).values())
    assert shares.keys() == {"ap-jakarta", "ap-hongkong", "ap-tokyo"}
    for name, sixths in [("ap-jakarta", 1), ("ap-hongkong", 2), ("ap-tokyo", 3)]:
        assert shares[name] / len(CLIENTS) == pytest.approx(sixths / 6, abs=0.025)


@pytest.mark.parametrize("second", ["ap-tokyo", "ap-jakarta", "ap-hongkong"])
def test_only_the_clients_of_the_next_failure_move(second):
    """When one of those who took over fails too, its clients alone move, to all of the next."""
    before, after = answers("ap-singapore"), answers("ap-singapore", second)
    moved = {each for each in CLIENTS if before[each] != after[each]}
    assert moved == {each for each in CLIENTS if before[each] == second}
    takers = Counter(after[each] for each in moved)
    assert takers.keys() == {"ap-tokyo", "ap-jakarta", "ap-hongkong", "eu-frankfurt"} - {second}
    weights = {each.name: each.weight for each in WORLD.regions}
    total = sum(weights[name] for name in takers)
    for name, count in takers.items():
        assert count / len(moved) == pytest.approx(weights[name] / total, abs=0.06)


def test_it_comes_back():
    """When the region is up again all its clients are back, whoever else failed meanwhile."""
    assert set(answers("ap-tokyo").values()) == {"ap-singapore"}


def test_strict_order():
    """A spread of one sends all to the nearest."""
    assert set(answers("ap-singapore", spread=1).values()) == {"ap-jakarta"}


def test_neighbours_stay_together():
    """Clients of one /24 go the same way, in another process too."""
    nearness = Nearness(WORLD, Situation({"ap-singapore": Standing.DOWN}), lambda _: None)
    for number, expected in [(0, "ap-tokyo"), (1, "ap-hongkong"), (4, "ap-jakarta")]:
        block = (10 << 24) + (number << 8)
        found = {nearness.rank(IPv4Address(block + last)).answer.name for last in range(256)}
        assert found == {expected}


def test_the_rest_is_in_order():
    """After the answer come those that are up, nearest first, and then those that aren't."""
    nearness = Nearness(WORLD, Situation({"ap-singapore": Standing.DOWN}), lambda _: None)
    ranking = nearness.rank(
        next(each for each, name in answers("ap-singapore").items() if name == "ap-tokyo")
    )
    assert names_of(ranking.regions) == [
        "ap-tokyo", "ap-jakarta", "ap-hongkong", "eu-frankfurt", "ap-singapore",
    ]  # fmt: skip
