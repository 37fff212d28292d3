"""A region on this machine: the canary at an address, a token endpoint, and `/readyz`.

What it does wrong is said while it runs; every request is counted.
"""

import asyncio
import base64
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from proxy.oci.digest import Digest

MANIFEST = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}'
DIGEST = str(Digest.of(MANIFEST))
NAME = "registry.example.com"
CANARY = "proxima/canary"
PASSWORD = "a-password-of-the-canary"
TOKEN = "a-token-of-the-canary"


@dataclass(slots=True)
class RegionServer:
    """A region. status, ready: what is answered; realm: where tokens are, empty: it is open."""

    address: str
    port: int
    tls: ssl.SSLContext | None = None
    status: int = 200
    ready: int = 200
    body: bytes = MANIFEST
    digest: str = DIGEST
    realm: str = ""
    is_basic: bool = False
    location: str = ""
    is_hanging: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    hosts: set[str] = field(default_factory=set)
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Answer from now on."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.address, self.port, ssl_context=self.tls)
        await site.start()

    async def stop(self) -> None:
        """Refuse connections from now on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        part = {"readyz": "ready", "token": "token"}.get(request.path.strip("/"), "manifest")
        self.asked[part] += 1
        if self.is_hanging:
            await asyncio.sleep(60)
        if part == "ready":
            return web.Response(status=self.ready)
        if part == "token":
            return self._token(request)
        self.hosts.add(request.headers["Host"])
        if refusal := self._refusal(request):
            return refusal
        headers = {"Docker-Content-Digest": self.digest} if self.digest else {}
        if self.location:
            headers["Location"] = self.location
        body = self.body if self.status == 200 else b""
        return web.Response(status=self.status, body=body, headers=headers)

    def _token(self, request: web.Request) -> web.Response:
        wanted = base64.b64encode(f"canary:{PASSWORD}".encode()).decode()
        assert request.query["scope"] == f"repository:{CANARY}:pull"
        if request.headers.get("Authorization") != f"Basic {wanted}":
            return web.Response(status=401)
        return web.json_response({"token": TOKEN})

    def _refusal(self, request: web.Request) -> web.Response | None:
        shown = request.headers.get("Authorization", "")
        if self.realm and shown != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="{self.realm}",service="the-registry"'
        elif self.is_basic and not shown.startswith("Basic "):
            challenge = 'Basic realm="registry"'
        else:
            return None
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})


@asynccontextmanager
async def region_server(address: str, port: int, **given: object) -> AsyncIterator[RegionServer]:
    """Run one for the length of the block."""
    server = RegionServer(address, port, **given)  # type: ignore[arg-type]
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
