"""TCP ports that stay the test's own, also while nothing listens on them.

A program that is stopped and started again on one port would lose it to another test process in
between. So a port is claimed by binding an abstract unix socket named after it: the kernel keeps
such names apart and forgets them with the process. Ports lie below the range from which the
kernel takes local ports for outgoing connections.
"""

import random
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
LOWEST_PORT = 12_000


@contextmanager
def claimed_port() -> Iterator[int]:
    """Give a TCP port that nothing listens on and no other test process takes."""
    port, claim = _claim_any()
    with closing(claim):
        yield port


def _claim_any() -> tuple[int, socket.socket]:
    candidates = range(LOWEST_PORT, _first_outgoing_port())
    for port in random.sample(candidates, 500):
        if (claim := _claim(port)) is not None:
            return port, claim
    raise RuntimeError("no TCP port of 500 tried is free")


def _first_outgoing_port() -> int:
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 32_768
    return lowest if lowest > LOWEST_PORT + 5_000 else 32_768


def _claim(port: int) -> socket.socket | None:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0proxima-test-port-{port}")
        _probe(port)
    except OSError:
        claim.close()
        return None
    return claim


def _probe(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("", port))


def address_of(host: str, port: int) -> str:
    """Give host and port as URLs write them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def answers(host: str, port: int) -> bool:
    """Tell whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True
