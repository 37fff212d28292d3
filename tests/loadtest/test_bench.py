"""How benchmarks are judged and shown; what they measure needs the programs themselves."""

import pytest

from loadtest.bench.crowd import Crowd
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_least, at_most, for_comparison
from loadtest.bench.peers import median_ratio, take_turns
from loadtest.bench.rows import ROWS
from loadtest.bench.table import markdown
from loadtest.bench.wrk import Pace


@pytest.mark.parametrize(
    ("target", "value", "is_met"),
    [
        (at_least(0.5), 0.5, True),
        (at_least(0.5), 0.499, False),
        (at_most(1.05), 1.05, True),
        (at_most(1.05), 1.06, False),
        (for_comparison(), 16.0, True),
    ],
)
def test_a_target_is_a_floor_a_ceiling_or_none(target, value, is_met):
    assert target.is_met(value) is is_met


@pytest.mark.parametrize(
    ("target", "text"),
    [(at_least(0.5), ">= 0.50x"), (at_most(10, "ms"), "<= 10 ms"), (for_comparison(), "")],
)
def test_a_target_is_shown_with_its_unit(target, text):
    assert str(target) == text


def test_peers_take_turns_and_a_first_turn_does_not_count():
    order = []

    def pace(name):
        order.append(name)
        return Pace(len(order), 0, 0, 0)

    paces = take_turns({"a": lambda: pace("a"), "b": lambda: pace("b")}, rounds=2)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [turn.requests_per_second for turn in paces["a"]] == [3, 5]


def test_a_round_counts_as_a_ratio_of_its_own_turns():
    assert median_ratio([5, 100, 50], [10, 100, 100]) == 0.5


def test_a_crowd_gives_the_median_and_a_high_percentile_of_first_bytes():
    crowd = Crowd(tuple(float(number) for number in range(1000, 0, -1)), 2.0)
    assert crowd.first_byte_seconds == 500.5
    assert crowd.slow_first_byte_seconds == 990


def test_the_page_has_a_line_for_each_measurement_with_its_verdict():
    page = markdown(
        [
            Measurement("warm", 0.61, at_least(0.5), "6 beside 10"),
            Measurement("cold", 1.2, at_most(1.05), "12 beside 10"),
            Measurement("stock", 16.0, for_comparison(), "16 times"),
        ],
        "make bench",
    )
    assert "| warm | 0.61x | >= 0.50x | yes | 6 beside 10 |" in page
    assert "| cold | 1.20x | <= 1.05x | NO | 12 beside 10 |" in page
    assert "| stock | 16.00x |  |  | 16 times |" in page
    assert "`make bench` on 20" in page


def test_every_row_has_a_name_of_its_own():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)


def test_a_quick_run_is_shorter_and_smaller(tmp_path):
    quick, thorough = Lab.quick(tmp_path), Lab.thorough(tmp_path)
    assert quick.rounds * quick.window_seconds < thorough.rounds * thorough.window_seconds / 2
    assert quick.cold_blob_bytes < thorough.cold_blob_bytes
