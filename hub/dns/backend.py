"""The endpoint that PowerDNS asks: `POST /dns`, one JSON call of its remote backend each.

Rules: PowerDNS takes `{"result": false}` for "there is no such thing" and answers REFUSED or
NXDOMAIN, which resolvers believe. So what can't be decided (no state yet, a fault of ours) is an
error of HTTP: PowerDNS answers SERVFAIL, and resolvers ask the next server.
"""

import json
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from geo.powerdns import MAX_CALL_BYTES
from proxy.oci.errors import BadRequest, SizeInvalid
from proxy.serving.body import answer_and_drain, expect_nothing, has_unread_body, read_body
from proxy.telemetry.dns_metrics import BackendCall, DnsMetrics
from proxy.telemetry.logs import EventLog

PATH = "/dns"


class CallInvalid(Exception):
    """It isn't a call of the remote backend; the text says why."""


class Undecided(Exception):
    """Nothing is known of the regions yet."""


Answer = Callable[[bytes], object]
"""Gives the document that answers a call. Raises: CallInvalid, Undecided."""


def backend_application(answer: Answer, metrics: DnsMetrics, log: EventLog) -> web.Application:
    """Give the application that answers calls and nothing else."""

    async def call(request: web.Request) -> web.StreamResponse:
        response, outcome = await _answered(request, answer, log)
        metrics.called(outcome)
        if has_unread_body(request):
            await answer_and_drain(request, response)
        return response

    application = web.Application()
    application.add_routes([web.post(PATH, call, expect_handler=expect_nothing)])
    return application


async def _answered(
    request: web.Request, answer: Answer, log: EventLog
) -> tuple[web.Response, BackendCall]:
    try:
        document = answer(await read_body(request, MAX_CALL_BYTES))
    except SizeInvalid as exc:
        return _failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, exc.message), BackendCall.INVALID
    except BadRequest as exc:
        return _failure(HTTPStatus.BAD_REQUEST, exc.message), BackendCall.INVALID
    except CallInvalid as exc:
        return _failure(HTTPStatus.BAD_REQUEST, str(exc)), BackendCall.INVALID
    except Undecided as exc:
        return _failure(HTTPStatus.SERVICE_UNAVAILABLE, str(exc)), BackendCall.NO_STATE
    except Exception as exc:  # noqa: BLE001  # nothing else answers what nobody thought of
        log.error("dns.failed", error=repr(exc))
        return _failure(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault"), BackendCall.FAILED
    body = json.dumps(document, separators=(",", ":")).encode()
    return web.Response(body=body, content_type="application/json"), BackendCall.ANSWERED


def _failure(status: HTTPStatus, why: str) -> web.Response:
    return web.json_response({"result": False, "log": [why]}, status=status)
