"""A hub in the test's own process, and those who speak to it."""

import hashlib
import hmac
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from config import HubSettings, load_hub
from hub.app import Hub
from hub.clock import Clock
from hub.members import Member
from proxy.serving.sockets import as_text
from proxy.telemetry.logs import EventLog
from tests.support.metrics import Metrics

SENDER_SECRET = "6f1ed002ab5595859014ebf0951522d9"
NEXT_SECRET = "b9d1cd04f4a94a8d9c8d2b4d7b1f6a03"
ADMIN_TOKEN = "0c8f27f4a3de4b7d8f4cbb9a35f3a7de"
SECRETS = {
    "PROXIMA_HUB_RECEIVING__SECRET": SENDER_SECRET,
    "PROXIMA_HUB_RECEIVING__NEXT_SECRET": NEXT_SECRET,
    "PROXIMA_HUB_ADMIN__TOKEN": ADMIN_TOKEN,
}
SENDER = {"X-Proxima-Secret": SENDER_SECRET}
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


def hub_settings(folder: Path, **given: object) -> HubSettings:
    """Give settings; a double underscore in a name stands for the dot of its key."""
    defaults: dict[str, object] = {
        "listen.api": ["127.0.0.1:0"],
        "listen.ops": "127.0.0.1:0",
        "listen.drain_limit": "5s",
        "primary.url": "http://127.0.0.1:9",
        "database.url": f"sqlite:///{folder / 'hub.db'}",
    }
    own = {name.replace("__", "."): value for name, value in given.items()}
    return load_hub(None, SECRETS, defaults | own)


class KnownMembers:
    """Replicas by token, as a test says."""

    def __init__(self) -> None:
        self.by: dict[str, Member] = {}

    def add(self, member_id: str, *, may_follow: bool = True) -> dict[str, str]:
        """Make one; give the headers with its token."""
        self.by[f"token-{member_id}"] = Member(member_id, "test", may_follow)
        return {"Authorization": f"Bearer token-{member_id}"}

    async def by_token(self, token: str) -> Member | None:
        return self.by.get(token)


@dataclass(slots=True)
class Place:
    """A running hub."""

    hub: Hub
    settings: HubSettings
    members: KnownMembers
    log_path: Path
    http: aiohttp.ClientSession
    replica: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{as_text(self.hub.api_addresses[0])}"

    @property
    def epoch(self) -> str:
        return self.hub._log.extent.epoch

    @property
    def head(self) -> int:
        return self.hub._log.extent.head

    async def post(
        self,
        body: object,
        headers: Mapping[str, str] = SENDER,
        path: str = "/notifications",
    ) -> tuple[int, Any]:
        """Post a notification; give status and document."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.post(self.url + path, data=data, headers=headers) as answer:
            return answer.status, await answer.json()

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], document: object = None
    ) -> tuple[int, Any]:
        """Ask the API; give status and document."""
        async with self.http.request(
            method, self.url + path, headers=headers, json=document
        ) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text else None

    async def metrics(self) -> Metrics:
        """Give the current metrics."""
        async with self.http.get(f"http://{as_text(self.hub.ops_address)}/metrics") as answer:
            return Metrics.parse(await answer.text())

    def events(self, name: str) -> list[dict[str, Any]]:
        """Give the lines of the log that are of one event."""
        self.hub._telemetry.log.flush()
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines()]
        return [line for line in lines if line["event"] == name]


@asynccontextmanager
async def running_hub(
    folder: Path, clock: Clock | None = None, **given: object
) -> AsyncIterator[Place]:
    """Run a hub with its database in *folder* for the length of the block."""
    settings = hub_settings(folder, **given)
    members, log_path = KnownMembers(), folder / "hub.jsonl"
    descriptor = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    hub = Hub(settings, EventLog(descriptor), clock, members)
    try:
        await hub.start()
        async with aiohttp.ClientSession() as session:
            yield Place(hub, settings, members, log_path, session, members.add("replica"))
        if hub._state != "draining":
            await hub.stop()
    finally:
        hub._telemetry.log.flush()
        os.close(descriptor)


def pushed(tag: str, repository: str = "shop/api", number: int = 0) -> dict[str, object]:
    """Give the plain form of a push; *number* makes one of the same tag another event."""
    return {
        "version": 1,
        "event": "manifest.pushed",
        "repository": repository,
        "tag": tag,
        "source": {"id": f"{tag}-{number}", "time": "2026-01-02T03:04:05Z"},
    }


def signed(body: bytes, timestamp: int, secret: str = SENDER_SECRET) -> dict[str, str]:
    """Give the headers of a signed notification."""
    text = f"{timestamp}.".encode() + body
    signature = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    return {"X-Proxima-Timestamp": str(timestamp), "X-Proxima-Signature": f"sha256={signature}"}
