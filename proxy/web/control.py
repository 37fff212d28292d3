"""The control socket: verbs of the operator, over HTTP on a unix socket in the store (0600).

A verb that takes its time is a POST, answered with a line of JSON for each event: the last one is a
`result`, or an `error`. A client that leaves ends its verb.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path

from aiohttp import web

from proxy.oci.errors import RegistryError
from proxy.registry.orders import Order
from proxy.registry.progress import Event, Events

HEARTBEAT_SECONDS = 5.0
CUT_SECONDS = 0.1  # 0 would let aiohttp wait without end

Explain = Callable[[str], Awaitable[dict[str, object]]]
Verb = Callable[[Order], Events]


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """Give another name for a socket: an address holds 107 bytes, a store's path may be longer."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class ControlSocket:
    """Answers the verbs that touch a running replica."""

    def __init__(self, path: Path, explain: Explain, more: Sequence[web.RouteDef] = ()) -> None:
        self._path = path
        self._explain = explain
        self._more = more
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Listen; a socket that was left behind is replaced, since the store's lock is ours.

        Raises: OSError.
        """
        application = web.Application()
        application.router.add_get("/explain", self._answer_explain)
        application.add_routes(self._more)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=CUT_SECONDS)
        await self._runner.setup()
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            with short_address(self._path) as address:
                await web.UnixSite(self._runner, address).start()
        finally:
            os.umask(before)

    async def _answer_explain(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(await self._explain(request.query.get("reference", "")))
        except RegistryError as exc:
            return web.json_response({"error": exc.message}, status=exc.status)

    async def close(self) -> None:
        """Stop listening; verbs that are running end here."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._path.unlink(missing_ok=True)


def verb_routes(verbs: Mapping[str, Verb]) -> list[web.RouteDef]:
    """Give the routes of verbs by name: each at most once at a time."""
    running: set[str] = set()

    def route(name: str, verb: Verb) -> web.RouteDef:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                order = Order.of_pairs(request.query.items())
            except RegistryError as exc:
                return web.json_response({"error": exc.message}, status=exc.status)
            if name in running:
                return web.json_response({"error": f"{name} is running already"}, status=409)
            running.add(name)
            try:
                return await _stream(request, verb(order))
            finally:
                running.discard(name)

        return web.post(f"/verbs/{name}", answer)

    return [route(name, verb) for name, verb in verbs.items()]


async def _stream(request: web.Request, events: Events) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    async with aclosing(events):
        await response.prepare(request)
        try:
            await _write_events(response, events)
        except RegistryError as exc:
            cause = f": {exc.__cause__}" if exc.__cause__ else ""
            await _write(response, {"event": "error", "message": f"{exc.message}{cause}"})
    await response.write_eof()
    return response


async def _write_events(response: web.StreamResponse, events: Events) -> None:
    """Write each event; an empty line now and then shows whether anybody is still there."""
    upcoming: asyncio.Task[Event | None] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(events, None))
            await asyncio.wait((upcoming,), timeout=HEARTBEAT_SECONDS)
            if not upcoming.done():
                await response.write(b"\n")
                continue
            event, upcoming = upcoming.result(), None
            if event is None:
                return
            await _write(response, event.as_document())
    finally:
        if upcoming is not None:
            upcoming.cancel()
            await asyncio.wait((upcoming,))


async def _write(response: web.StreamResponse, document: Mapping[str, object]) -> None:
    await response.write(json.dumps(document).encode() + b"\n")
