"""One request and its answer, as the boundary knows them: what is logged and counted, once."""

import itertools
import secrets
from dataclasses import dataclass, field

from aiohttp import web

from proxy.oci.request import Action
from proxy.telemetry.labels import Kind, Origin, Outcome

_PROCESS = secrets.token_hex(4)
_NUMBERS = itertools.count(1)


def next_request_id() -> str:
    """Give an id that no other request has: this process's, and a number."""
    return f"{_PROCESS}{next(_NUMBERS):08x}"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about: for the log, the count and the challenge.

    `source` is the repository that a mount reads from.
    """

    kind: Kind = Kind.OTHER
    repository: str = ""
    reference: str = ""
    action: Action = Action.PULL
    source: str = ""


NOTHING_KNOWN = Subject()


@dataclass(slots=True)
class Exchange:
    """Filled in as a request goes through its stations. `scheme` is told where it matters.

    client: the address that it comes from. is_told_elsewhere: another log line stands for it.
    """

    request: web.BaseRequest
    started_at: float
    request_id: str = field(default_factory=next_request_id)
    client: str = ""
    scheme: str = ""
    subject: Subject = NOTHING_KNOWN
    outcome: Outcome = Outcome.SERVED
    event: str = "request.answered"
    origin: Origin | None = None
    sent_bytes: int = 0
    stale_seconds: float | None = None
    error: str = ""
    is_told_elsewhere: bool = False

    @property
    def host(self) -> str:
        """The Host that the client used, checked before."""
        return self.request.headers.get("Host", "")
