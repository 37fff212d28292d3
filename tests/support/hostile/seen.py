"""What the upstream remembers of each request."""

from dataclasses import dataclass

from tests.support.http1 import Fields


@dataclass(slots=True)
class Seen:
    """A request the upstream saw, and what it answered; status 0: nothing (yet).

    sent_bytes: of the answer's body, counted when they are handed to the connection: what a client
                has read is counted already.
    """

    method: str
    target: str
    fields: Fields
    connection: int
    at_seconds: float
    body_bytes: int = 0
    status: int = 0
    sent_bytes: int = 0
    is_complete: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]
