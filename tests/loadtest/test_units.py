"""Sizes and times, as people write them."""

import pytest

from loadtest.units import parse_bytes, parse_seconds, show_bytes, show_seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("100MB", 100_000_000),
        ("100MB/s", 100_000_000),
        ("256MiB", 268_435_456),
        ("1.5 kB", 1_500),
        ("17", 17),
        ("12.5MB", 12_500_000),
    ],
)
def test_a_size_is_read_in_its_unit(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("40ms", 0.040), ("30s", 30.0), ("2m", 120.0), ("0.5", 0.5), ("250us", 0.00025)],
)
def test_a_time_is_read_in_its_unit(text, seconds):
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "fast", "1 furlong", "-1s", "1e3", "MB", "1MB\nx"])
def test_what_is_no_size_and_no_time_is_refused(text):
    with pytest.raises(ValueError, match="not a"):
        parse_bytes(text)
    with pytest.raises(ValueError, match="not a"):
        parse_seconds(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (3_100, "3.1 kB"),
        (104_857_600, "104.9 MB"),
        (2 * 10**9, "2.0 GB"),
    ],
)
def test_a_size_is_shown_with_one_digit_behind_the_point(count, text):
    assert show_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.236, "1.24 s"), (0.0519, "52 ms"), (0.00042, "0.4 ms")]
)
def test_a_time_is_shown_in_a_unit_that_fits(seconds, text):
    assert show_seconds(seconds) == text
