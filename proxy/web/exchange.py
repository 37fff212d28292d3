"""One request and its answer, as the boundary knows them: what is logged and counted, once."""

import secrets
from dataclasses import dataclass, field

from aiohttp import web

from proxy.oci.request import Action
from proxy.telemetry.labels import Kind, Origin, Outcome


@dataclass(slots=True)
class Exchange:
    """Filled in as a request goes through its stations."""

    request: web.BaseRequest
    scheme: str
    started_at: float
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    kind: Kind = Kind.OTHER
    outcome: Outcome = Outcome.SERVED
    event: str = "request.answered"
    repository: str = ""
    reference: str = ""
    origin: Origin | None = None
    sent_bytes: int = 0
    stale_seconds: float | None = None
    action: Action = Action.PULL
    error: str = ""

    @property
    def host(self) -> str:
        """The Host that the client used, checked before."""
        return self.request.headers.get("Host", "")
