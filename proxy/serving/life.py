"""How a service hears of its end: the first signal drains it, the second leaves it little time."""

import asyncio
import signal
from typing import Protocol

SECOND_SIGNAL_SECONDS = 5.0


class Service(Protocol):
    """What runs until it is stopped."""

    async def stop(self) -> None:
        """Drain, and end."""
        ...

    def hurry(self, seconds: float) -> None:
        """Leave a drain that is under way no more than this."""
        ...


def end_signals() -> asyncio.Event:
    """Give what is set by SIGTERM and SIGINT."""
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    return signalled


def hangup_signals() -> asyncio.Event:
    """Give what is set by SIGHUP."""
    hung_up = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up.set)
    return hung_up


async def stop(service: Service, signalled: asyncio.Event) -> None:
    """Drain a service; a second signal leaves five seconds."""
    signalled.clear()
    draining = asyncio.ensure_future(service.stop())
    again = asyncio.ensure_future(signalled.wait())
    await asyncio.wait((draining, again), return_when=asyncio.FIRST_COMPLETED)
    if not draining.done():
        service.hurry(SECOND_SIGNAL_SECONDS)
    again.cancel()
    await draining
