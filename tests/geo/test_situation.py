"""Up and down with patience."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.situation import Hysteresis


@pytest.mark.parametrize(
    ("checks", "states"),
    [
        ("+++", "UUU"),
        ("-+-+-", "UUUUU"),
        ("--", "UD"),
        ("--+", "UDD"),
        ("--+++", "UDDDU"),
        ("--++-+++", "UDDDDDDU"),
        ("--+++--", "UDDDUUD"),
    ],
)
def test_patience(checks, states):
    """Two failures in a row take it down, three passes in a row up; what is between resets both."""
    health = Hysteresis(fall=2, rise=3)
    assert "".join("DU"[health.note(each == "+")] for each in checks) == states


@given(st.lists(st.booleans()), st.integers(1, 5), st.integers(1, 5))
def test_it_changes_after_a_run_alone(checks, fall, rise):
    """For any checks, a change comes with the last of just so many against the state in a row."""
    health = Hysteresis(fall, rise)
    was_up, run = True, 0
    for ok in checks:
        run = run + 1 if ok is not was_up else 0
        is_up = health.note(ok)
        assert (is_up is not was_up) == (run == (fall if was_up else rise))
        was_up, run = is_up, 0 if is_up is not was_up else run
