"""The states of a replica instance, as a function of what is known."""

import pytest

from hub.instances.forms import Status
from hub.instances.lag import lag_of
from hub.instances.state import Life, Patience, Reported, State, state_of

PATIENCE = Patience(unreachable_seconds=60, drain_seconds=600)
NOW = 10_000.0
RUNNING = Life(Reported.RUNNING, NOW - 5)


def draining(reported: Reported = Reported.RUNNING, at: float = NOW - 5, since: float = NOW - 10):
    return Life(reported, at, draining_at=since)


@pytest.mark.parametrize(
    ("life", "state"),
    [
        (Life(), State.PENDING),
        (Life(Reported.STARTING, NOW), State.PENDING),
        (Life(Reported.BACKFILLING, NOW), State.BACKFILLING),
        (RUNNING, State.RUNNING),
        (Life(Reported.RUNNING, NOW - 60), State.RUNNING),
        (Life(Reported.RUNNING, NOW - 60.1), State.UNREACHABLE),
        (Life(Reported.BACKFILLING, NOW - 61), State.UNREACHABLE),
        (Life(Reported.STARTING, NOW - 61), State.UNREACHABLE),
        (Life(Reported.RUNNING, NOW + 30), State.RUNNING),  # the clock went back
        (Life(Reported.DRAINING, NOW), State.RUNNING),
        (Life(Reported.DRAINED, NOW), State.UNREACHABLE),
        (Life(draining_at=NOW), State.DELETED),  # never there: nothing drains
        (draining(), State.DRAINING),
        (draining(Reported.DRAINING), State.DRAINING),
        (draining(Reported.DRAINED), State.DELETED),
        (draining(Reported.DRAINED, at=NOW - 20), State.DRAINING),  # said of an earlier stop
        (draining(since=NOW - 600), State.DRAINING),
        (draining(since=NOW - 600.1), State.DELETED),
        (draining(at=NOW - 1_000), State.DRAINING),  # silence doesn't end it early
        (Life(Reported.RUNNING, NOW, NOW - 9, deleted_at=NOW - 1), State.DELETED),
        (Life(deleted_at=NOW - 1), State.DELETED),
    ],
)
def test_states(life, state):
    """Each state follows from what was stored and reported, and the time."""
    assert state_of(life, NOW, PATIENCE) is state


@pytest.mark.parametrize(("since", "state"), [(NOW - 30, State.RUNNING), (0, State.UNREACHABLE)])
def test_a_hub_that_was_away_calls_nobody_unreachable_at_once(since, state):
    """Silence counts from when the hub listens again."""
    life = Life(Reported.RUNNING, NOW - 3_600)
    assert state_of(life, NOW, PATIENCE, listening_since=since) is state


CURRENT = Status(Reported.RUNNING)


@pytest.mark.parametrize(
    ("status", "reported_at", "unread_since", "lag"),
    [
        (None, None, None, None),
        (CURRENT, NOW - 30, None, 0.0),
        (CURRENT, NOW - 30, NOW - 12, 12.0),
        (Status(Reported.RUNNING, lag_seconds=4.0, queue=2), NOW - 3, None, 7.0),
        (Status(Reported.RUNNING, queue=1), NOW - 3, None, 3.0),
        (Status(Reported.RUNNING, lag_seconds=4.0), NOW - 3, NOW - 5, 7.0),
        (Status(Reported.RUNNING, lag_seconds=4.0), NOW - 3, NOW - 50, 50.0),
        (Status(Reported.RUNNING, lag_seconds=4.0), NOW + 3, None, 4.0),
    ],
)
def test_lag(status, reported_at, unread_since, lag):
    """What was incomplete grows older until the replica says otherwise; so does what is unread."""
    assert lag_of(status, reported_at, unread_since, NOW) == lag
