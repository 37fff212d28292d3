"""What follows from the settings without being one."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from config.settings import Settings
from config.values import Address, bracketed, host_of

_LOOPBACK: dict[int, IPv4Address | IPv6Address] = {
    4: IPv4Address("127.0.0.1"),
    6: IPv6Address("::1"),
}


def effective_names(settings: Settings) -> tuple[str, ...]:
    """Give the hosts by which clients may address the replica.

    Shape: in lower case, IPv6 in brackets; "example.com" is that host on any port,
           "example.com:5000" on that port alone. What is configured replaces what is derived.
    """
    if settings.listen.names:
        return settings.listen.names
    names = [host_of(settings.primary.url)]
    for address in settings.listen.registry:
        names += _names_of(address)
    return tuple(dict.fromkeys(names))


def _names_of(address: Address) -> Iterator[str]:
    """Give the names of a listener; one on all addresses (0.0.0.0, [::]) is on loopback too."""
    ip = _LOOPBACK[address.ip.version] if address.ip.is_unspecified else address.ip
    yield bracketed(ip)
    if ip.is_loopback:
        yield "localhost"
