"""Waits until something is so."""

import time
from collections.abc import Callable

from loadtest.programs import ProgramFailed

_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.1


def wait_until(is_so: Callable[[], bool], what: str) -> float:
    """Return once it is so, with the seconds that it took.

    Raises: ProgramFailed: it takes too long.
    """
    started = time.monotonic()
    while not is_so():
        if time.monotonic() - started > _PATIENCE_SECONDS:
            raise ProgramFailed(f"not within {_PATIENCE_SECONDS:.0f} s: {what}")
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - started
