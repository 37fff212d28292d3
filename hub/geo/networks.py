"""Networks as operators write them."""

from geo import values
from geo.catalogue import Network
from hub.geo.errors import NetworkInvalid


def read_network(text: str) -> Network:
    """Give the network of a CIDR block. Raises: NetworkInvalid: with what is wrong with it."""
    try:
        return values.network(text)
    except ValueError as exc:
        raise NetworkInvalid(str(exc)) from exc
