"""A hub as DNS servers see it: `GET /v1/geo` with its long poll, and what a test makes of it."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.loop_thread import LoopThread
from tests.support.ports import LOOPBACK, claimed_port

TOKEN = "f0d7c2a6e94b4b6f8f2f5f0a51f7f3b9"
Document = dict[str, Any]

REGIONS: Document = {
    "ap-singapore": {
        "number": 9,
        "coordinates": [1.35, 103.82],
        "addresses": ["203.0.113.5", "2001:db8:9::1"],
        "host": "sg.registry.example.com",
        "networks": ["10.1.0.0/16", "127.1.0.0/16"],
        "fallback": ["eu-frankfurt"],
    },
    "eu-frankfurt": {
        "number": 17,
        "coordinates": [50.11, 8.68],
        "addresses": ["203.0.113.17", "2001:db8:17::1"],
        "host": "fra.registry.example.com",
        "networks": ["10.2.0.0/16", "127.2.0.0/16", "2001:db8:2::/48"],
    },
    "ap-tokyo": {
        "number": 25,
        "coordinates": [35.68, 139.69],
        "addresses": ["203.0.113.25", "203.0.113.26", "2001:db8:25::1"],
        "networks": ["10.3.0.0/16"],
    },
}


def geo_document(**changes: Any) -> Document:
    """Give a state of three regions; the first is the default."""
    return {
        "revision": "r1",
        "domain": "registry.example.com",
        "ttl_seconds": 5,
        "spread": 1,
        "catalogue": {"default": "ap-singapore", "regions": REGIONS},
        "standings": dict.fromkeys(REGIONS, "up"),
        "linked": {},
        **changes,
    }


@dataclass
class StubHub:
    """One hub. Its answers change at once for who waits; `asked` are the queries it got."""

    port: int
    document: Document = field(default_factory=geo_document)
    body: bytes | None = None
    status: int = 200
    asked: list[dict[str, str]] = field(default_factory=list)
    _thread: LoopThread = field(init=False)
    _runner: web.AppRunner | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def say(self, **changes: Any) -> None:
        """Change the state; it gets another revision unless one is given."""
        revision = f"r{int(self.document['revision'][1:]) + 1}"
        changed = {**self.document, "revision": revision, **changes}
        self._thread.run(self._change(changed))

    def stand(self, **standings: str) -> None:
        """Let regions stand otherwise; an underscore in a name is a hyphen."""
        given = {name.replace("_", "-"): value for name, value in standings.items()}
        self.say(standings={**self.document["standings"], **given})

    def start(self) -> None:
        self._thread.run(self._start())

    def stop(self) -> None:
        """Be away: nothing listens, and connections end."""
        self._thread.run(self._stop())

    # --- in the loop ------------------------------------------------------------------------------

    async def _change(self, document: Document) -> None:
        self.document = document
        self._news.set()
        self._news = asyncio.Event()

    async def _start(self) -> None:
        application = web.Application()
        application.add_routes([web.get("/v1/geo", self._geo)])
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port, reuse_address=True).start()

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _geo(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"errors": []}, status=401)
        news = self._news
        if request.query.get("after") == self.document["revision"]:
            try:
                async with asyncio.timeout(float(request.query.get("timeout", 0))):
                    await news.wait()
            except TimeoutError:
                pass
        body = self.body if self.body is not None else json.dumps(self.document).encode()
        return web.Response(status=self.status, body=body, content_type="application/json")


@contextmanager
def stub_hub() -> Iterator[StubHub]:
    """Give a hub that runs."""
    with claimed_port() as port, LoopThread("stub-hub") as thread:
        hub = StubHub(port)
        hub._thread = thread
        hub.start()
        try:
            yield hub
        finally:
            hub.stop()
