"""What a service manager is told of the state of a service (sd_notify), where it asked for it."""

import os
import socket
import time
from contextlib import suppress


def ready() -> None:
    """Say that clients may come; also after a reload."""
    _notify("READY=1")


def reloading() -> None:
    """Say that the settings are being read again; `ready` ends it."""
    _notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """Say that it drains."""
    _notify("STOPPING=1")


def _notify(state: str) -> None:
    """Send a datagram to NOTIFY_SOCKET. A manager that can't be told stops nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address.startswith("@"):  # an abstract name
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.setblocking(False)  # noqa: FBT003  # the socket's own signature
        out.sendto(state.encode(), address)
