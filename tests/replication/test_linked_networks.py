"""A region whose hub says things of it, over HTTP, its networks above all; and what its replica
reports of itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from config import Backfill, ReplicationSource
from config.replication import ReplicationSettings
from config.settings import ListenSettings, PrimarySettings, Settings, StoreSettings
from config.values import Address
from proxy.app import Replica
from proxy.events.cursor import Cursor
from proxy.events.event import ManifestPushed
from proxy.net.sse import ServerEvent
from proxy.oci.reference import Repository, Tag
from proxy.replication.reporting import EVERY_SECONDS
from tests.net.peer import Call, Peer, peer
from tests.registry_store.ground import Heard
from tests.replication.hubs import notice_event
from tests.support.hostile import HostileUpstream, hostile_upstream
from tests.support.layers import random_blob
from tests.support.ports import LOOPBACK, address_of
from tests.support.raw_http import RawConnection, raw_connection, request_bytes
from tests.support.registry_client import RegistryClient
from tests.support.waiting import eventually

HERE, ELSEWHERE = "127.0.0.0/8", "192.0.2.0/24"
REPOSITORY = "team/app"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
SETTINGS = b"event: settings\ndata: {}\n\n"
ANY_FREE = Address(LOOPBACK, 0)


@dataclass(slots=True)
class LinkingHub:
    """Speaks the replica's part of the contract; while it is away it ends every connection."""

    networks: list[str] = field(default_factory=list)
    says: dict[str, Any] = field(default_factory=dict)
    """What else it says of the replica."""
    is_away: bool = False
    is_slow: bool = False
    asked: int = 0
    reports: list[dict[str, Any]] = field(default_factory=list)
    _streams: list[Call] = field(default_factory=list)

    async def handle(self, call: Call) -> None:
        while True:
            request = await call.head()
            body = await call.body(request)
            if self.is_away:
                self.asked += 1
                return
            path = request.target.partition("?")[0]
            if path == "/v1/events":
                await call.send(STREAM)
                self._streams.append(call)
                await call.rest()
                return
            if path == "/v1/reports":
                self.reports.append(json.loads(body)["status"])
            if path == "/v1/self":
                self.asked += 1
                while self.is_slow:
                    await asyncio.sleep(0.01)
            said = {"epoch": "one", "head": 0, "lease_seconds": 30, "networks": self.networks}
            await call.answer(200, json.dumps(said | self.says).encode())

    async def link(self, *networks: str) -> None:
        """Link these and no others, and tell the replica that there is something to ask."""
        await eventually(lambda: self._streams)
        self.networks = list(networks)
        await self._streams[-1].send(SETTINGS)

    async def tell(self, *notices: ServerEvent) -> None:
        """Tell the replica of what stands in the log."""
        await eventually(lambda: self._streams)
        for each in notices:
            lines = f"id: {each.id}\nevent: {each.event}\ndata: {each.data}\n\n"
            await self._streams[-1].send(lines.encode())

    def leave(self) -> None:
        """Go away, on the streams too."""
        self.is_away = True
        while self._streams:
            self._streams.pop().writer.close()


@dataclass(slots=True)
class World:
    """A primary, a hub, and a region whose replica may be started again."""

    upstream: HostileUpstream
    hub: LinkingHub
    wire: Peer
    folder: Path
    heard: Heard

    @asynccontextmanager
    async def replica(self) -> AsyncIterator["Region"]:
        """Run a replica for the length of the block."""
        replica = Replica(self._settings(), self.heard.telemetry.log)
        await replica.start()
        try:
            yield Region(replica)
        finally:
            await replica.stop()

    def _settings(self) -> Settings:
        token = self.folder / "token"
        token.write_text("join-token")
        return Settings(
            region="eu",
            listen=ListenSettings(registry=(ANY_FREE,), ops=ANY_FREE, drain_limit=1.0),
            primary=PrimarySettings(url=self.upstream.url),
            store=StoreSettings(root=self.folder / "store"),
            replication=ReplicationSettings(
                source=ReplicationSource.HUB,
                hub_url=f"http://{LOOPBACK}:{self.wire.port}",
                token_file=token,
                backfill=Backfill.NONE,
                reconcile_every=0.0,
            ),
        )


@dataclass(slots=True)
class Region:
    """A replica that serves, in the test's own loop: clients are asked in threads."""

    replica: Replica

    @property
    def address(self) -> str:
        return address_of(*self.replica.registry_addresses[0])

    async def status(self, path: str = "/v2/") -> int:
        """Give what a new client gets."""
        client = RegistryClient(f"http://{self.address}")
        return (await asyncio.to_thread(client.get, path)).status


@pytest.fixture
async def world(tmp_path: Path, heard: Heard) -> AsyncIterator[World]:
    hub = LinkingHub()
    with hostile_upstream() as upstream:
        async with peer(hub.handle) as wire:
            yield World(upstream, hub, wire, tmp_path, heard)


async def test_a_region_is_closed_before_its_first_client(world: World):
    """What the hub links counts from the first request of the first start on."""
    world.hub.networks = [ELSEWHERE]
    async with world.replica() as region:
        assert await region.status() == 403


async def test_networks_are_linked_and_unlinked_while_it_runs(world: World):
    """A `settings` event closes the region to others, to connections that are open as well; it is
    open again without a network.
    """
    ping = request_bytes("GET", "/v2/", LOOPBACK)
    async with world.replica() as region:
        with raw_connection(region.address) as connection:
            assert await _asked(connection, ping) == 200
            await world.hub.link(ELSEWHERE)
            await _until(region, 403)
            assert await _asked(connection, ping) == 403
        for networks, status in (((ELSEWHERE, HERE), 200), ((ELSEWHERE,), 403), ((), 200)):
            await world.hub.link(*networks)
            await _until(region, status)


async def _asked(connection: RawConnection, request: bytes) -> int:
    await asyncio.to_thread(connection.send, request)
    return (await asyncio.to_thread(connection.read_reply)).status


async def _until(region: Region, status: int) -> None:
    async with asyncio.timeout(10):
        while await region.status() != status:
            await asyncio.sleep(0.01)


async def test_it_goes_by_the_region_and_the_exclusions_that_the_hub_names(world: World):
    """A replica that follows without having joined takes what is for its region by the hub's name
    of it, passes over what is for others, and leaves alone what the hub excludes: at first, and
    after a `settings` event.
    """
    world.hub.says = {"replica": {"region": "ap-here"}, "excluded": ["hubs/own", 7, "No/Name"]}
    async with world.replica() as region:
        following = region.replica._news.following
        assert following is not None
        await world.hub.tell(
            _pushed(1, "hubs/own"),
            _pushed(2, "team/there", only="eu"),
            _pushed(3, "team/here", only="ap-here"),
        )
        await eventually(lambda: _asked_for(world, "team/here"))
        world.hub.says = {"replica": {"region": "ap-there"}, "excluded": []}
        await world.hub.link()
        await eventually(lambda: following.told.region == "ap-there")
        await world.hub.tell(_pushed(4, "team/late", only="ap-here"), _pushed(5, "hubs/own"))
        await eventually(lambda: _asked_for(world, "hubs/own"))
    assert not _asked_for(world, "team/there")
    assert not _asked_for(world, "team/late")


def _pushed(seq: int, repository: str, only: str = "") -> ServerEvent:
    event = ManifestPushed(Repository(repository), Tag("v1"))
    return notice_event(Cursor("one", seq), event, only=only)


def _asked_for(world: World, repository: str) -> bool:
    return bool(world.upstream.requests(path=f"/v2/{repository}/manifests/v1"))


async def test_a_restart_while_the_hub_is_away(world: World):
    """What was linked holds over a restart without the hub; what is linked then counts once the
    hub is back.
    """
    async with world.replica() as region:
        await world.hub.link(ELSEWHERE)
        await _until(region, 403)
        await eventually((world.folder / "store" / "networks.json").exists)
    world.hub.leave()
    asked = world.hub.asked
    async with world.replica() as region:
        await eventually(lambda: world.hub.asked > asked, what="the hub is away")
        assert await region.status() == 403
        world.hub.networks = []
        world.hub.is_away = False
        await _until(region, 200)


async def test_it_is_not_ready_before_it_knows(world: World):
    """While a first start waits for the hub's word, `/readyz` says 503 and no client gets in."""
    world.hub.is_slow = True
    world.hub.networks = [ELSEWHERE]
    replica = Replica(world._settings(), world.heard.telemetry.log)
    starting = asyncio.create_task(replica.start())
    try:
        await eventually(lambda: world.hub.asked)
        ops = RegistryClient(f"http://{address_of(*replica.ops_address)}")
        reply = await asyncio.to_thread(ops.get, "/readyz")
        assert (reply.status, reply.json()["status"]) == (503, "starting")
        assert not starting.done()
    finally:
        world.hub.is_slow = False
        await starting
        await replica.stop()


async def test_reports_tell_the_load(world: World):
    """Reports go out every two seconds when nothing happens, with the connections that are open and
    the rate of what went out since the last.
    """
    content = world.upstream.contents.add_blob(REPOSITORY, random_blob(1 << 20, "load"))
    path = f"/v2/{REPOSITORY}/blobs/{content.digest}"
    pull = request_bytes("GET", path, LOOPBACK)
    async with world.replica() as region:
        with raw_connection(region.address) as connection:
            assert await _asked(connection, pull) == 200
            reports = world.hub.reports
            await eventually(lambda: any(_load(each)["bytes_per_second"] for each in reports))
            assert _load(reports[-1])["connections"] == 1
        loop = asyncio.get_running_loop()
        before, began_at = len(reports), loop.time()
        await eventually(lambda: len(reports) >= before + 2)
        assert loop.time() - began_at < 3 * (EVERY_SECONDS + 1)
    seen = [_load(each) for each in reports]
    assert 0 < max(each["bytes_per_second"] for each in seen) <= len(content.data) * 1.01
    assert seen[-1] == {"connections": 0, "bytes_per_second": 0.0}


def _load(report: dict[str, Any]) -> dict[str, float]:
    load: dict[str, float] = report["load"]
    assert set(load) == {"connections", "bytes_per_second"}
    return load
