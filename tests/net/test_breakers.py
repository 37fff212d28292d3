"""Breakers, with a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.net.breakers import FAILURES_TO_OPEN, PROBE_EVERY_SECONDS, Breaker, BreakerState
from tests.net.sessions import ManualClock


def opened(clock: ManualClock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed()
    return breaker


def test_opens_after_failures_in_a_row(clock: ManualClock) -> None:
    """C22: five failures in a row open it; any answer in between starts the count again."""
    breaker = Breaker(clock)
    for _ in range(3):
        for _ in range(FAILURES_TO_OPEN - 1):
            breaker.failed()
            assert breaker.may_try()
        breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    for _ in range(FAILURES_TO_OPEN):
        assert breaker.may_try()
        breaker.failed()
    assert breaker.state is BreakerState.OPEN
    assert not breaker.may_try()


def test_lets_one_probe_through_at_a_time(clock: ManualClock) -> None:
    """C22: while open, one request in ten seconds finds out; all others are told no."""
    breaker = opened(clock)
    clock.now += PROBE_EVERY_SECONDS - 0.001
    assert not breaker.may_try()
    for _ in range(3):
        clock.now += PROBE_EVERY_SECONDS
        assert [breaker.may_try() for _ in range(4)] == [True, False, False, False]
        assert breaker.state is BreakerState.PROBING
        breaker.failed()
        assert breaker.state is BreakerState.OPEN


def test_answer_to_a_probe_closes(clock: ManualClock) -> None:
    """An answer, be it to a probe or to a request that was on its way, closes it wholly."""
    breaker = opened(clock)
    clock.now += PROBE_EVERY_SECONDS
    assert breaker.may_try()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    breaker.failed()
    assert breaker.may_try()


def test_probe_that_is_never_decided_is_followed_by_another(clock: ManualClock) -> None:
    """A probe whose client left without an answer doesn't leave the way shut for ever."""
    breaker = opened(clock)
    for _ in range(3):
        clock.now += PROBE_EVERY_SECONDS
        assert breaker.may_try()
        assert not breaker.may_try()


@pytest.mark.parametrize("failures", [0, 1, FAILURES_TO_OPEN - 1])
def test_clock_alone_changes_nothing(clock: ManualClock, failures: int) -> None:
    """Time doesn't open a breaker."""
    breaker = Breaker(clock)
    for _ in range(failures):
        breaker.failed()
    clock.now += 1e6
    assert breaker.may_try()
    assert breaker.state is BreakerState.CLOSED


@given(steps=st.lists(st.sampled_from(["try", "fail", "answer", "second"]), max_size=60))
def test_tries_are_bounded_while_nothing_answers(steps: list[str]) -> None:
    """After five failures without an answer no two tries are nearer than ten seconds, whatever the
    order in which requests start, fail late, and time goes by.
    """
    clock = ManualClock()
    breaker = Breaker(clock)
    in_a_row, last_try = 0, float("-inf")
    for step in steps:
        match step:
            case "second":
                clock.now += 1
            case "fail":
                in_a_row += 1
                breaker.failed()
            case "answer":
                in_a_row = 0
                last_try = float("-inf")
                breaker.succeeded()
            case _:
                may = breaker.may_try()
                if in_a_row < FAILURES_TO_OPEN:
                    assert may
                elif may:
                    assert clock.now - last_try >= PROBE_EVERY_SECONDS
                    last_try = clock.now
