"""The replicas that the hub knows, as far as the other parts of the hub ask."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Member:
    """A replica instance. may_follow: it neither drains nor is it deleted. state: for messages."""

    id: str
    region: str
    may_follow: bool = True
    state: str = ""


class Members(Protocol):
    """Who they are."""

    async def by_token(self, token: str) -> Member | None:
        """Give the replica of a join token; None: nobody's. Raises: DatabaseUnavailable."""
        ...
