"""File descriptors: how many there may be, and how many clients that lets in."""

import resource

HIGHEST_LIMIT = 1 << 20
RESERVED = 96
"""For the store, the sidecar, the primary, operators: they go on when clients take all they can."""
FOR_EACH_CLIENT = 3
"""Its connection, the duplicate that sendfile writes to, the file that is sent."""
FEWEST_CLIENTS = 8


def raise_limit() -> None:
    """Take all the descriptors that the system allows this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HIGHEST_LIMIT if hard == resource.RLIM_INFINITY else min(hard, HIGHEST_LIMIT)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def clients_for(wanted: int) -> int:
    """Give how many of *wanted* clients at once the limit leaves room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(FEWEST_CLIENTS, (soft - RESERVED) // FOR_EACH_CLIENT))
