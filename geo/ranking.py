"""Which region a client goes to, and why."""

from dataclasses import dataclass
from enum import StrEnum

from geo.catalogue import Address, Network, Region
from geo.place import Place
from geo.situation import Standing


class By(StrEnum):
    """What told where a client is."""

    NETWORK = "network"
    DATABASE = "database"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Ranked:
    """A region from a client's point of view. distance_km: None: nobody knows where it is."""

    region: Region
    distance_km: float | None
    standing: Standing
    may_enter: bool


@dataclass(slots=True)
class Ranking:
    """All regions for a client; the first is the answer. reason: one line for people.

    network: the longest that the client lies in. place: set where the database decided.
    """

    client: Address | None
    by: By
    network: Network | None
    place: Place | None
    regions: tuple[Ranked, ...]
    reason: str

    @property
    def answer(self) -> Region:
        """Give the region that the client goes to."""
        return self.regions[0].region
