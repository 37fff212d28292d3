"""Bounded polling: the only way a test waits for something outside its own control."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01


class NeverHappened(AssertionError):
    """A condition did not become true in time."""


def wait_until(condition: Callable[[], T], timeout_seconds: float = 10.0, what: str = "") -> T:
    """Give the first truthy value of *condition*.

    Raises: NeverHappened after *timeout_seconds*.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise NeverHappened(_message(condition, timeout_seconds, what))
        time.sleep(POLL_SECONDS)
    return value


async def eventually(
    condition: Callable[[], T], timeout_seconds: float = 10.0, what: str = ""
) -> T:
    """Give the first truthy value of *condition* without blocking the running loop.

    Raises: NeverHappened after *timeout_seconds*.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise NeverHappened(_message(condition, timeout_seconds, what))
        await asyncio.sleep(POLL_SECONDS)
    return value


def _message(condition: object, timeout_seconds: float, what: str) -> str:
    name = what or getattr(condition, "__name__", "the condition")
    return f"{name}: not true within {timeout_seconds:g} s"
