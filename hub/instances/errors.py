"""What stands in the way of making or deleting an instance."""

from collections.abc import Sequence

from hub.errors import Conflict, Invalid


class UnsupportedRegion(Invalid):
    """There is no such region."""

    code = "UNSUPPORTED_REGION"

    def __init__(self, region: str, known: Sequence[str]) -> None:
        message = f"{region} is no region; replicas.regions of the hub's settings can add it"
        super().__init__(message, detail={"regions": list(known)})


class RegionOfPrimary(Conflict):
    """The primary itself serves its region."""

    code = "REGION_OF_PRIMARY"


class ReplicaExists(Conflict):
    """A region has one replica at most."""

    code = "REPLICA_EXISTS"


class HasReplicas(Conflict):
    """The primary stays for as long as replicas do."""

    code = "HAS_REPLICAS"

    def __init__(self, ids: Sequence[str]) -> None:
        message = f"the primary has replicas, delete them first: {', '.join(ids)}"
        super().__init__(message, detail={"replicas": list(ids)})


class NoPrimary(Conflict):
    """The primary instance was deleted."""

    code = "NO_PRIMARY"
    default_message = "the primary was deleted; the hub makes it again when it starts"
