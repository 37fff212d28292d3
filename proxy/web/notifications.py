"""`POST /notifications` of a replica without a hub: the cap, who sends it, then the body; 202 once
it is durable.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from proxy.events.authenticity import Authenticity, NotAuthentic
from proxy.oci.errors import BadRequest, NotServedHere, RegistryError, Unauthorized
from proxy.registry.clock import Clock
from proxy.replication.reception import Reception, Taken
from proxy.serving.body import (
    answer_and_drain,
    check_length,
    expect_nothing,
    has_unread_body,
    read_body,
)
from proxy.serving.letters import take_authentic
from proxy.telemetry.logs import EventLog
from proxy.web.respond import error_response

PATH = "/notifications"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NotificationRoute:
    """Takes notifications from whoever proves to be allowed to send them."""

    def __init__(
        self,
        reception: Reception,
        authenticity: Authenticity,
        max_body_bytes: int,
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._reception = reception
        self._authenticity = authenticity
        self._max_body_bytes = max_body_bytes
        self._clock = clock
        self._log = log

    def application(self) -> web.Application:
        """Give what answers it, and nothing else."""
        application = web.Application(middlewares=[_answer])
        application.router.add_post(PATH, self._take, expect_handler=expect_nothing)
        return application

    async def _take(self, request: web.Request) -> web.StreamResponse:
        check_length(request, self._max_body_bytes)
        try:
            taken = await self._authentic(request)
        except NotAuthentic as exc:
            client = request.remote or ""
            self._log.warning("notification.refused", client=client, reason=str(exc))
            raise Unauthorized("the notification proves no allowed sender") from exc
        return web.json_response(taken.as_document(), status=202)

    async def _authentic(self, request: web.Request) -> Taken:
        return await take_authentic(
            request,
            self._authenticity,
            self._clock.wall,
            partial(read_body, request, self._max_body_bytes),
            self._reception.take,
        )


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors in one place, and get rid of a body that nobody wanted."""
    try:
        response = await handler(request)
    except RegistryError as exc:
        response = error_response(exc)
    except web.HTTPException as exc:
        response = error_response(NotServedHere() if exc.status == 404 else BadRequest(exc.reason))
    if has_unread_body(request) and not response.prepared:
        await answer_and_drain(request, response)
    return response
