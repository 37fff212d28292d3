"""An address from which nothing comes back, not even a refusal."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

MAX_QUEUED = 16
ANSWER_SECONDS = 0.2


@contextmanager
def blackhole(address: str) -> Iterator[None]:
    """Take *address* (host:port) for the length of the block and let every connection hang there.

    The kernel drops what would overflow the queue of a listener that accepts nothing.
    """
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        listener.listen(0)
        for _ in range(MAX_QUEUED):
            caller = stack.enter_context(socket.socket())
            if not _is_answered(caller, (host, int(port))):
                break
        else:
            raise AssertionError("the listener's queue doesn't fill")
        yield


def _is_answered(caller: socket.socket, address: tuple[str, int]) -> bool:
    caller.setblocking(False)
    caller.connect_ex(address)
    _, writable, _ = select.select([], [caller], [], ANSWER_SECONDS)
    return bool(writable)
