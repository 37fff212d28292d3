"""`POST /notifications`: the cap, then who sends, then the body; 202 once it is durable.

Senders keep what isn't answered 2xx and send it again and again, and most send nothing else in the
meantime. So what isn't understood is answered 2xx too, and refused is only what isn't theirs, what
is too large, and what can't be kept.
"""

from functools import partial

from aiohttp import web

from hub.clock import Clock
from hub.errors import Unauthorized
from hub.receiving.intake import Intake, Outcome
from hub.telemetry import HubTelemetry
from hub.web.application import route
from hub.web.body import check_length, read_body
from proxy.events.authenticity import Authenticity, NotAuthentic
from proxy.serving.letters import take_authentic

PATH = "/notifications"


class Receiver:
    """Takes notifications from whoever proves to be allowed to send them."""

    def __init__(
        self,
        intake: Intake,
        authenticity: Authenticity,
        max_body_bytes: int,
        clock: Clock,
        telemetry: HubTelemetry,
    ) -> None:
        self._intake = intake
        self._authenticity = authenticity
        self._max_body_bytes = max_body_bytes
        self._clock = clock
        self._telemetry = telemetry

    def routes(self) -> list[web.RouteDef]:
        """Give what it answers."""
        return [route("POST", PATH, self._receive)]

    async def _receive(self, request: web.Request) -> web.Response:
        check_length(request, self._max_body_bytes)
        try:
            outcome = await self._authentic(request)
        except NotAuthentic as exc:
            self._telemetry.log.warning(
                "notification.refused", client=request.remote or "", reason=str(exc)
            )
            raise Unauthorized("the notification proves no allowed sender") from exc
        return web.json_response(outcome.as_document(), status=202)

    async def _authentic(self, request: web.Request) -> Outcome:
        return await take_authentic(
            request,
            self._authenticity,
            self._clock.wall,
            partial(read_body, request, self._max_body_bytes),
            self._intake.take,
        )
