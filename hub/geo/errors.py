"""What stands in the way of what is asked about regions."""

from collections.abc import Sequence

from hub.errors import Conflict, Invalid

MAX_NETWORKS = 10_000


class NoCatalogue(Conflict):
    """The hub knows no regions."""

    code = "NO_CATALOGUE"
    default_message = "the hub has no catalogue of regions; geo.catalogue of its settings names one"


class UnknownRegion(Invalid):
    """There is no such region."""

    code = "UNKNOWN_REGION"

    def __init__(self, region: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no region {region}", detail={"regions": list(known)})


class NetworkInvalid(Invalid):
    """It is no network, or not the one that was meant."""

    code = "NETWORK_INVALID"


class AlreadyLinked(Conflict):
    """The network is linked to the region already."""

    code = "ALREADY_LINKED"


class TooManyNetworks(Conflict):
    """No more networks can be linked."""

    code = "TOO_MANY_NETWORKS"
    default_message = f"{MAX_NETWORKS:,} networks are linked already; link larger ones"


class DrainedByCatalogue(Conflict):
    """The catalogue itself drains the region."""

    code = "DRAINED_BY_CATALOGUE"
