"""Disks that are full or fail: what can't be kept isn't answered 202, and the hub goes on."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hub.sentinel.contents import content
from tests.faults_disk.mounts import MIB, Filler, small_disk
from tests.faults_disk.tracing import attached, calls_in, injection
from tests.hub.follower import following
from tests.hub.place import ADMIN, Place, pushed, running_hub, signed
from tests.hub.process import hub_process
from tests.hub.test_registry import BEARER, pushed_tags
from tests.support import registries
from tests.support.fixtures import Opened, require
from tests.support.images import oci_image
from tests.support.ports import claimed_port
from tests.support.pushing import push
from tests.support.registries import docker_registry
from tests.support.registry_client import RegistryClient
from tests.support.waiting import eventually


@pytest.fixture
def disk(opened: Opened) -> Iterator[Path]:
    """A file system of 4 MiB."""
    return opened(small_disk(4 * MIB))


async def refused(place: Place) -> None:
    """Post until there is no room for more."""
    for number in range(1000):
        status, document = await place.post(pushed(f"fill{number}"))
        if status != 202:
            assert (status, document["errors"][0]["code"]) == (503, "UNAVAILABLE")
            return
    raise AssertionError("the disk was never full")


async def test_what_can_not_be_kept_is_refused(disk: Path, tmp_path: Path) -> None:
    """C20: 503 on a full disk, reads go on, and the first 202 after that is durable again."""
    filler = Filler(disk)
    database = f"sqlite:///{disk / 'hub.db'}"
    async with running_hub(tmp_path, database__url=database) as place:
        assert (await place.post(pushed("before")))[0] == 202
        filler.fill()
        await refused(place)
        assert (await place.post(b"not JSON"))[0] == 503
        body = json.dumps(pushed("signed")).encode()
        proof = signed(body, int(time.time()))
        assert (await place.post(body, proof))[0] == 503
        head = place.head
        async with following(place) as follower:
            assert (await follower.next()).tag == "before"
        assert (await place.ask("GET", "/v1/parked", ADMIN))[0] == 200
        assert (await place.metrics()).value("proxima_hub_database_failures") > 0
        filler.free()
        assert (await place.post(pushed("after")))[0] == 202
        assert (await place.post(body, proof))[0] == 202, "a signature was taken for nothing"
        assert place.head == head + 2
    async with running_hub(tmp_path, database__url=database) as place:
        assert place.head == head + 2


async def test_nothing_is_believed_of_a_connection_that_failed(disk: Path, tmp_path: Path) -> None:
    """F4: after an error of the disk the database is opened anew."""
    filler = Filler(disk)
    async with running_hub(tmp_path, database__url=f"sqlite:///{disk / 'hub.db'}") as place:
        before = await place.hub._database.read(_connection)
        filler.fill()
        await refused(place)
        assert await place.hub._database.read(_connection) is not before


def _connection(connection: Connection) -> object:
    return connection.connection.dbapi_connection


async def test_a_registry_sends_it_again(disk: Path, tmp_path: Path, opened: Opened) -> None:
    """C20: what is pushed while the hub's disk is full is told once there is room."""
    require(registries.PROGRAM)
    port, filler = opened(claimed_port()), Filler(disk)
    given = {
        "listen__api": [f"127.0.0.1:{port}"],
        "database__url": f"sqlite:///{disk / 'hub.db'}",
    }
    url = f"http://127.0.0.1:{port}/notifications"
    registry = opened(docker_registry(tmp_path / "p", notify=[url], notify_with=BEARER))
    async with running_hub(tmp_path, **given) as place:
        filler.fill()
        await refused(place)
        head, failures = place.head, place.hub._database.failures
        client, image = RegistryClient(registry.url), oci_image("full")
        await asyncio.to_thread(push, client, "shop/api", image, "v1")
        await eventually(lambda: place.hub._database.failures > failures)
        assert place.head == head
        filler.free()
        async with following(place, head) as follower:
            assert await pushed_tags(follower, 1) == ["v1"]


SENTINEL = "proxima/sentinel"


@pytest.mark.parametrize(
    "neighbours",
    [[pushed("lost")], [], [pushed("fill0")]],
    ids=["with an event", "alone", "with one that is known"],
)
async def test_a_full_disk_proves_nothing(
    disk: Path, tmp_path: Path, neighbours: list[dict[str, object]]
) -> None:
    """C20: leases don't go on while events can't be kept, though the sentinel's push comes back."""
    filler = Filler(disk)
    given = {"database__url": f"sqlite:///{disk / 'hub.db'}", "sentinel__repository": SENTINEL}
    async with running_hub(tmp_path, **given) as place:
        proof = place.hub._proof
        digest = content(1).digest
        proof._under_way[digest] = proof._clock.now()
        letter = [*neighbours, pushed("current", SENTINEL) | {"digest": str(digest)}]
        filler.fill()
        await refused(place)
        assert (await place.post(letter))[0] == 503
        assert "has come yet" in proof.doubt() or "can't be pushed" in proof.doubt()
        filler.free()
        assert (await place.post(letter))[0] == 202
        assert proof.doubt() == ""


SYNCS = ("fsync", "fdatasync")


def test_the_answer_waits_for_the_disk(tmp_path: Path) -> None:
    """C3: the database is synced before the first byte of a 202 leaves."""
    require("strace")
    log = tmp_path / "trace.log"
    slow = ("-s", "20", "-e", "trace=fsync,fdatasync,write,writev,sendto,sendmsg")
    delayed = ("-e", "inject=fsync,fdatasync:delay_exit=50000")
    with hub_process(tmp_path) as hub:
        hub.start()
        with attached(hub.process.pid, log, *slow, *delayed):
            assert hub.post(pushed("v1")).status == 202
    calls = calls_in(log)
    synced = [call for call in calls if call.name in SYNCS and call.file == str(hub.database)]
    (answer,) = [call for call in calls if "HTTP/1.1 202" in call.arguments]
    assert synced, "the database was never synced"
    assert max(call.ended for call in synced) < answer.began


def test_a_sync_that_fails_is_no_success(tmp_path: Path) -> None:
    """F4: EIO from a sync is 503 and nothing is logged; the same event is taken afterwards."""
    require("strace")
    log = tmp_path / "trace.log"
    with hub_process(tmp_path) as hub:
        hub.start()
        assert hub.post(pushed("v0")).json()["logged"] == 1
        with attached(hub.process.pid, log, *injection(SYNCS, "error=EIO")):
            assert hub.post(pushed("v1")).status == 503
        assert any(call.is_injected for call in calls_in(log))
        assert hub.post(pushed("v1")).json() == {
            "logged": 1,
            "repeated": 0,
            "ignored": 0,
            "parked": False,
        }
        assert hub.post(pushed("v0")).json()["repeated"] == 1
