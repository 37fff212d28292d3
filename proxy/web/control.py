"""The control socket: verbs of the operator, over HTTP on a unix socket in the store (0600)."""

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from proxy.oci.errors import RegistryError

Explain = Callable[[str], Awaitable[dict[str, object]]]


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
        self._runner = web.AppRunner(application, access_log=None)
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
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._path.unlink(missing_ok=True)
