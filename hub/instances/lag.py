"""How far a replica is behind, from what it said and from what it hasn't read."""

from hub.instances.forms import Status


def lag_of(
    status: Status | None, reported_at: float | None, unread_since: float | None, now: float
) -> float | None:
    """Give the age in seconds of the oldest event not yet complete there; None: nobody knows.

    unread_since: when the oldest event beyond the replica's cursor came; None: there is none.
    What was incomplete when the replica last reported counts as incomplete until it says otherwise.
    """
    if status is None or reported_at is None:
        return None
    lag = 0.0
    if status.lag_seconds or status.queue:
        lag = status.lag_seconds + max(0.0, now - reported_at)
    if unread_since is not None:
        lag = max(lag, now - unread_since)
    return lag
