"""Host and port: parsed, shown, and a free one on loopback."""

import random
import socket
from collections.abc import Iterable

Address = tuple[str, int]

_LOWEST_PORT, _HIGHEST_PORT = 12_000, 32_000
_TRIES = 200


def parse_address(text: str) -> Address:
    """Give host and port of `127.0.0.1:5000` or `[::1]:5000`.

    Raises: ValueError
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"{text!r} is not an address such as 127.0.0.1:5000")
    return host.strip("[]"), int(port)


def show_address(address: Address) -> str:
    """Give *address* as host:port."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def free_address() -> Address:
    """Give an address on loopback where nothing listens at this moment.

    For programs that can't be told port 0. It lies below the ports that the kernel gives to
    outgoing connections, so that none of those takes it before the program does.
    """
    return "127.0.0.1", free_port(["127.0.0.1"])


def free_port(hosts: Iterable[str]) -> int:
    """Give a port that is free on all of these hosts at this moment, for the same programs."""
    wanted = tuple(hosts)
    for port in random.sample(range(_LOWEST_PORT, _HIGHEST_PORT), _TRIES):
        if not any(_is_taken((host, port)) for host in wanted):
            return port
    raise RuntimeError(f"no free port on loopback among {_TRIES} tried")


def answers(address: Address) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection(address, timeout=1.0).close()
    except OSError:
        return False
    return True


def _is_taken(address: Address) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(address)
        except OSError:
            return True
    return False
