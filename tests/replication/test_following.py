"""A replica that follows a hub over HTTP: stream, lease and marks together."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from proxy.events.cursor import Cursor
from proxy.events.event import ManifestPushed
from proxy.net.hub import HubAddress, HubClient
from proxy.net.sse import ServerEvent
from proxy.oci.reference import Tag
from proxy.replication.cursor import Mark
from proxy.replication.following import Following
from tests.net.peer import Call, peer
from tests.registry_store.ground import A, Heard, ManualClock
from tests.replication.hubs import LEASE_SECONDS, MemoryJournal, notice_event
from tests.support.ports import LOOPBACK
from tests.support.waiting import eventually

V1, V2 = Tag("v1"), Tag("v2")
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


class WireHub:
    """Speaks the contract over one peer; `events` go out to the stream that is open."""

    def __init__(self) -> None:
        self.head = 3
        self.events: asyncio.Queue[ServerEvent] = asyncio.Queue()

    async def handle(self, call: Call) -> None:
        while True:
            request = await call.head()
            await call.body(request)
            path = request.target.partition("?")[0]
            if path == "/v1/events":
                await self._stream(call)
                return
            document = {"epoch": "one", "head": self.head, "lease_seconds": LEASE_SECONDS}
            await call.answer(200, json.dumps(document).encode())

    async def _stream(self, call: Call) -> None:
        await call.send(STREAM)
        while True:
            each = await self.events.get()
            await call.send(f"id: {each.id}\nevent: {each.event}\ndata: {each.data}\n\n".encode())

    def push(self, tag: Tag) -> None:
        self.head += 1
        event = notice_event(Cursor("one", self.head), ManifestPushed(A, tag))
        self.events.put_nowait(event)


@asynccontextmanager
async def running(
    following: Following, journal: MemoryJournal
) -> AsyncIterator["asyncio.Task[None]"]:
    """Run for the length of the block."""

    async def nothing() -> None:
        pass

    following.marks.add(await journal.marks())
    task = asyncio.create_task(following.run(journal, nothing, lambda: None))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def hub() -> AsyncIterator[tuple[WireHub, str]]:
    wire = WireHub()
    async with peer(wire.handle) as listening:
        yield wire, f"http://{LOOPBACK}:{listening.port}"


async def test_from_the_first_connection_to_a_live_lease(
    hub: tuple[WireHub, str], clock: ManualClock, heard: Heard, tmp_path: Path
):
    """It begins at the log's end, gets a lease, hears of a push within a moment, and is without a
    lease once nobody renewed it.
    """
    wire, url = hub
    token = tmp_path / "token"
    token.write_text("join-token")
    client = HubClient(HubAddress(url, token), "proxima/test")
    following = Following(client, clock, heard.telemetry.log)
    journal = MemoryJournal(kept=[Mark(A, V2)])
    async with running(following, journal) as task:
        assurance = following.assurance
        await eventually(assurance.is_live)
        assert journal.started_over == [Cursor("one", 3)]
        assert assurance.is_dirty(A, V2, clock.now()), "a mark that outlived a restart"
        clock.pass_(1)
        checked_at = clock.now()
        assert assurance.covers(checked_at)
        wire.push(V1)
        await eventually(lambda: assurance.is_dirty(A, V1, checked_at))
        await eventually(lambda: journal.at == Cursor("one", 4))
        assert following.subscription is not None
        assert following.subscription.heard.connected_since is not None
        clock.pass_(LEASE_SECONDS)
        assert not assurance.is_live()
        assert not task.done()
    await client.close()
