"""The ops listener: health, readiness, metrics. It only reads, and knows no credentials."""

import json
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiohttp import web

from proxy.serving.sockets import Address, open_socket
from proxy.telemetry.exposition import CONTENT_TYPE, Exposition


async def open_ops(
    address: Address,
    metrics: Exposition,
    not_ready: Callable[[], str],
    details: Callable[[], dict[str, object]],
    stack: AsyncExitStack,
) -> Address:
    """Listen until *stack* ends; give where. Raises: OSError."""
    application = ops_application(metrics, not_ready, details)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    opened = open_socket(address)
    await web.SockSite(runner, opened).start()
    host, port = opened.getsockname()[:2]
    return host, port


def ops_application(
    metrics: Exposition, not_ready: Callable[[], str], details: Callable[[], dict[str, object]]
) -> web.Application:
    """Give the application. *not_ready* says why not, or nothing; *details* goes to /readyz."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        reason = not_ready()
        status = reason or "ready"
        body = json.dumps({"status": status, **details()})
        code = 503 if reason else 200
        return web.Response(status=code, text=body, content_type="application/json")

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", exposition)
    return application
