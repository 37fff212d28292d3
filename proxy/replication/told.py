"""What the hub says of this replica: where it is to the hub, and what none copies anything of.

A replica that joined has both in its settings; one that only follows learns them here, as soon as
the hub is asked for the first time, and keeps to them until the hub says something else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.net.hub import JsonObject
from proxy.oci.errors import NameInvalid
from proxy.oci.reference import Repository


@dataclass(slots=True)
class Told:
    """Shared by all who go by it. *region* is empty until it is known: what is for one region alone
    is taken for ours then, which costs questions and loses nothing.
    """

    region: str = ""
    excluded: frozenset[Repository] = frozenset()

    def hear(self, said: JsonObject) -> None:
        """Take over what an answer of the hub says; what it doesn't say, or nobody can read, stays
        as it was.
        """
        match said.get("replica"):
            case {"region": str(region)}:
                self.region = region
        excluded = said.get("excluded")
        if isinstance(excluded, list):
            self.excluded = frozenset(_repositories(excluded))


def _repositories(names: list[object]) -> Iterator[Repository]:
    for name in names:
        try:
            yield Repository.parse(name if isinstance(name, str) else "")
        except NameInvalid:
            continue
