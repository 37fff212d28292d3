"""The API as one application: a table of routes, and one place where errors are answered."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from hub.errors import HubError, NotAllowed, NotFound
from hub.telemetry import HubTelemetry
from proxy.oci.errors import RegistryError
from proxy.serving.body import answer_and_drain, expect_nothing, has_unread_body
from proxy.telemetry.hub_metrics import Route, StatusClass

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_BY_SECOND_PART = {
    "self": Route.SELF,
    "events": Route.EVENTS,
    "lease": Route.LEASE,
    "reports": Route.REPORTS,
    "geo": Route.GEO,
}


def route(method: str, path: str, handler: Handler) -> web.RouteDef:
    """Give a route whose handler asks for the body itself."""
    return web.route(method, path, handler, expect_handler=expect_nothing)


def api_application(routes: Iterable[web.RouteDef], telemetry: HubTelemetry) -> web.Application:
    """Give the application that answers these routes and nothing else."""
    application = web.Application(middlewares=[_answering(telemetry)])
    application.add_routes(routes)
    return application


def _answering(telemetry: HubTelemetry) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.monotonic()
        error, status = "", StatusClass.LEFT
        code: int | str = StatusClass.LEFT
        try:
            response, error = await _answered(request, handler, telemetry)
            code, status = response.status, StatusClass.of(response.status)
        except ConnectionError:  # the client left; nobody reads an answer
            return web.Response(status=400)
        finally:
            seconds = time.monotonic() - began
            telemetry.metrics.request_ended(_route_of(request), status, seconds)
            telemetry.log.info(
                "hub.request",
                method=request.method,
                path=request.path,
                client=request.remote or "",
                status=code,
                seconds=round(seconds, 6),
                **({"error": error} if error else {}),
            )
        if has_unread_body(request) and not response.prepared:
            await answer_and_drain(request, response)
        return response

    return answer


async def _answered(
    request: web.Request, handler: Handler, telemetry: HubTelemetry
) -> tuple[web.StreamResponse, str]:
    """Give the answer, and for the log what stood in the way of another one."""
    try:
        return await handler(request), ""
    except RegistryError as exc:
        cause = f": {exc.__cause__!r}" if exc.__cause__ else ""
        return _as_response(exc), f"{exc.message}{cause}"
    except web.HTTPNotFound:
        return _as_response(NotFound()), ""
    except web.HTTPMethodNotAllowed as exc:
        return _as_response(NotAllowed(headers={"Allow": exc.headers["Allow"]})), ""
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as exc:  # noqa: BLE001  # nothing else answers what nobody thought of
        request_id = uuid.uuid4().hex
        telemetry.log.error("hub.failed", request_id=request_id, error=repr(exc))
        return _as_response(HubError(detail={"request_id": request_id})), repr(exc)


def _as_response(error: RegistryError) -> web.Response:
    return web.Response(
        status=error.status,
        body=error.body(),
        content_type="application/json",
        headers=error.headers,
    )


def _route_of(request: web.Request) -> Route:
    parts = request.path.split("/", 3)
    if parts[1:] == ["notifications"]:
        return Route.NOTIFICATIONS
    if len(parts) > 2 and parts[1] == "v1":
        return _BY_SECOND_PART.get(parts[2], Route.OPERATORS)
    return Route.OTHER
