"""A hub in the test's own loop, and requests to its API."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp

from config import HubSettings
from hub.app import Hub
from proxy.telemetry.logs import EventLog
from tests.hub.place import ADMIN_TOKEN, SENDER_SECRET, hub_settings

OPERATOR = ADMIN_TOKEN
Document = dict[str, Any]


class ManualClock:
    """Both times stand still until they are moved."""

    def __init__(self) -> None:
        self.seconds = 1_790_000_000.0

    def now(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return self.seconds


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the API."""

    status: int
    headers: Mapping[str, str]
    text: str
    document: Any

    @property
    def error(self) -> Document:
        """The one error of an answer in the API's form."""
        (error,) = self.document["errors"]
        assert isinstance(error["code"], str), error
        assert error["message"], error
        return dict(error)

    def expect(self, status: int) -> "Reply":
        assert self.status == status, (self.status, self.text)
        return self


@dataclass(slots=True)
class Api:
    """Requests to a hub, with a token unless told otherwise."""

    session: aiohttp.ClientSession
    url: str
    clock: ManualClock
    tokens: dict[str, str] = field(default_factory=dict)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = OPERATOR,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Reply:
        """Send a request; *data* goes as it is instead of *body* as JSON."""
        everything = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.session.request(
            method,
            f"{self.url}{path}",
            json=body if data is None else None,
            data=None if data is None else BytesIO(data),
            headers={**everything, **(headers or {})},
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json" and text
            document = await response.json() if is_json else None
            return Reply(response.status, response.headers, text, document)

    async def create(self, region: str = "ap-singapore", **more: object) -> Document:
        """Make a replica; its token is kept in `tokens` by region."""
        reply = await self.ask("POST", "/v1/replicas", {"region": region, **more})
        created: Document = reply.expect(201).document
        self.tokens[region] = created["token"]
        return created

    async def report(
        self, *entries: Document, region: str = "ap-singapore", status: Document | None = None
    ) -> Reply:
        """Report as the replica of a region."""
        document = {"status": {"state": "running"} | (status or {}), "entries": list(entries)}
        return await self.ask("POST", "/v1/reports", document, token=self.tokens[region])

    async def state(self, replica_id: str) -> str:
        reply = await self.ask("GET", f"/v1/replicas/{replica_id}")
        return str(reply.expect(200).document["state"])

    async def notify(self, *events: Document) -> None:
        """Send notifications in the plain form."""
        for event in events:
            reply = await self.ask("POST", "/notifications", event, token=SENDER_SECRET)
            assert reply.expect(202).document["parked"] is False, reply.text


def api_settings(folder: Path, **given: object) -> HubSettings:
    """Give settings with a primary in a region; *given* as `hub_settings` has it."""
    primary = {
        "primary__id": "registry-fra",
        "primary__region": "eu-frankfurt",
        "primary__url": "https://registry.example.com",
    }
    return hub_settings(folder, **primary | given)


@asynccontextmanager
async def serving_hub(
    folder: Path, clock: ManualClock | None = None, **given: object
) -> AsyncIterator[tuple[Hub, Api]]:
    """Run a hub for the length of the block; its log goes to `hub.jsonl`."""
    clock = clock or ManualClock()
    log = os.open(folder / "hub.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    hub = Hub(api_settings(folder, **given), EventLog(log), clock)
    try:
        await hub.start()
        try:
            host, port = hub.api_addresses[0]
            async with aiohttp.ClientSession() as session:
                yield hub, Api(session, f"http://{host}:{port}", clock)
        finally:
            await hub.stop()
    finally:
        os.close(log)


def entry(**fields: object) -> Document:
    """Give an entry of the replication log as a replica reports it."""
    return {
        "id": "e-1",
        "repository": "shop/api",
        "tag": "1.0",
        "digest": "sha256:" + "a" * 64,
        "what": "image",
        "source": "registry.example.com",
        "destination": "ap-singapore",
        "trigger": "event",
        "state": "complete",
        **fields,
    }
