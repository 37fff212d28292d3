"""What checks of a region say of it."""

import pytest

from hub.geo.forms import What
from hub.geo.health import Check, Outcome, verdict

P, W, S, C = Outcome.PASSED, Outcome.WRONG, Outcome.SILENT, Outcome.CLOSED


def checks(ready: Outcome | None, canaries: tuple[Outcome, ...]) -> list[Check]:
    """Give the checks of one round."""
    found = [Check(What.READY, "http://region/readyz", ready, "", 0.0, 0.0)] if ready else []
    return found + [Check(What.CANARY, "203.0.113.5", each, "", 0.0, 0.0) for each in canaries]


@pytest.mark.parametrize(
    ("ready", "canaries", "expected"),
    [
        (None, (), P),
        (P, (), P),
        (W, (), W),
        (S, (), S),
        (None, (P,), P),
        (None, (W,), W),
        (None, (S,), S),
        (None, (C,), S),
        # One address that passes is enough; a wrong answer says more than none.
        (None, (P, W, S), P),
        (None, (W, S), W),
        (None, (C, S), S),
        (None, (C, P), P),
        # A replica that says it isn't ready isn't; one whose ops listener is out of reach may be.
        (W, (P,), W),
        (S, (P,), P),
        (P, (W,), W),
        (P, (S,), S),
        # The access list keeps the hub out: `ready` decides, else the replica's reports.
        (P, (C,), P),
        (S, (C,), S),
        (W, (C,), W),
    ],
)
def test_the_verdict_of_a_round(ready, canaries, expected):
    """The outcomes of `ready` and of the canary at each address make one verdict."""
    assert verdict(checks(ready, canaries)) is expected
