"""A replica without a hub takes the primary's notifications itself."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import Address, Secret
from proxy.events.letter import Letter
from proxy.registry.sidecar import Sidecar
from proxy.replication.reception import Parking
from tests.fills.calls import manifest_path
from tests.hub.place import NEXT_SECRET, SENDER, SENDER_SECRET, pushed, signed
from tests.replication.copying import REPOSITORY, Told, told
from tests.support import registries
from tests.support.fixtures import require
from tests.support.hostile import HostileUpstream
from tests.support.images import oci_image
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.pushing import assert_pullable, push
from tests.support.registries import docker_registry
from tests.support.registry_client import RegistryClient, Reply
from tests.support.store_tree import tags
from tests.support.waiting import wait_until

RECEIVING = {"secret": Secret(SENDER_SECRET), "next_secret": Secret(NEXT_SECRET)}
TAG = "v1"


@pytest.fixture
def replica(upstream: HostileUpstream) -> Iterator[Told]:
    """A replica of an upstream that has one image."""
    upstream.contents.add(REPOSITORY, oci_image("told"), TAG)
    listen = {"notifications": (Address(LOOPBACK, 0),)}
    with told(upstream.url, listen=listen, receiving=RECEIVING) as running:
        yield running


def post(
    replica: Told, body: bytes, headers: dict[str, str], path: str = "/notifications"
) -> Reply:
    host, port = replica.running.replica.notification_addresses[0]
    return RegistryClient(f"http://{host}:{port}").request("POST", path, headers, body)


def body_of(tag: str = TAG) -> bytes:
    return json.dumps(pushed(tag)).encode()


def parked(replica: Told) -> list[dict[str, object]]:
    reception = replica.replication.reception
    assert reception is not None
    found: list[dict[str, object]] = replica.running.thread.run(reception.parking.list())
    return found


def test_a_stock_registry_tells_it(tmp_path: Path) -> None:
    """What is pushed to a docker-registry is in the region before anyone asks, deletion included,
    without a hub.
    """
    require(registries.PROGRAM)
    with claimed_port() as port:
        notified = [f"http://{LOOPBACK}:{port}/notifications"]
        with docker_registry(tmp_path, notify=notified, notify_with=SENDER) as primary:
            listen = {"notifications": (Address(LOOPBACK, port),)}
            with told(primary.url, listen=listen, receiving=RECEIVING) as replica:
                image, publisher = oci_image("stock"), RegistryClient(primary.url)
                store = replica.running.store
                push(publisher, REPOSITORY, image, TAG)
                wait_until(lambda: tags(store, REPOSITORY) == {TAG: image.digest}, what="a copy")
                assert_pullable(replica.running.client, REPOSITORY, image, TAG)
                publisher.delete(manifest_path(REPOSITORY, image.digest)).expect(202)
                wait_until(lambda: tags(store, REPOSITORY) == {}, what="the deletion")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Proxima-Secret": SENDER_SECRET},
        {"X-Proxima-Secret": NEXT_SECRET},
        {"Authorization": f"Bearer {SENDER_SECRET}"},
    ],
    ids=["header", "rotation", "bearer"],
)
def test_who_shows_a_secret_is_heard(replica: Told, headers: dict[str, str]) -> None:
    """Each of two secrets counts, in its header or as a bearer token; the answer comes when the
    job is durable.
    """
    reply = post(replica, body_of(), headers).expect(202)
    assert json.loads(reply.body) == {"logged": 1, "ignored": 0, "parked": False}
    replica.wait_done()
    assert TAG in tags(replica.running.store, REPOSITORY)


def test_a_signature_counts_once(replica: Told) -> None:
    """C18: what is signed is heard once within its time; replayed, altered or late it is not."""
    now = int(replica.running.clock.wall())
    body, headers = body_of(), signed(body_of(), now)
    post(replica, body_of("v2"), headers).expect(401)
    post(replica, body, headers).expect(202)
    post(replica, body, headers).expect(401)
    post(replica, body, signed(body, now - 3600)).expect(401)
    assert len(replica.running.events("notification.refused")) == 3


@pytest.mark.parametrize(
    "headers", [{}, {"X-Proxima-Secret": "guess"}, {"Authorization": "Basic eDp5"}], ids=str
)
def test_strangers_change_nothing(replica: Told, headers: dict[str, str]) -> None:
    """C18: a notification that proves no sender has no effect but a line in the log."""
    post(replica, body_of(), headers).expect(401)
    assert replica.backlog == {}
    assert replica.entries() == []
    assert len(replica.running.events("notification.refused")) == 1


def test_what_is_too_large_is_refused_before_it_is_read(replica: Told) -> None:
    """C18: a body that says it is larger than allowed gets its answer without being read."""
    headers = {**SENDER, "Content-Length": str(10 << 20), "Expect": "100-continue"}
    assert post(replica, b"", headers).status == 413


def test_what_is_not_understood_is_parked(replica: Told) -> None:
    """What can't be read is answered as good, kept, and can be taken in again; its neighbours
    count.
    """
    body = json.dumps([pushed(TAG), {"version": 1, "event": "from.the.future"}]).encode()
    reply = post(replica, body, dict(SENDER)).expect(202)
    assert json.loads(reply.body) == {"logged": 1, "ignored": 0, "parked": True}
    (letter,) = parked(replica)
    assert letter["size_bytes"] == len(body)
    assert "entry 1" in str(letter["reason"])
    replica.wait_done()


def test_other_paths_are_none(replica: Told) -> None:
    """The listener answers notifications and nothing else."""
    assert post(replica, b"{}", dict(SENDER), "/v2/").status == 404


async def test_what_is_parked_is_bounded(tmp_path: Path) -> None:
    """The oldest letters go where there are too many or they are too large; the newest stays."""
    sidecar = Sidecar(tmp_path / "sidecar.db")
    await sidecar.open()
    try:
        parking = Parking(sidecar, max_letters=3, max_bytes=1000)
        for size in (1, 2, 3, 4):
            await parking.put(Letter("", {}, b"x" * size), "why not", 0.0)
        assert [each["size_bytes"] for each in await parking.list()] == [2, 3, 4]
        await parking.put(Letter("", {}, b"x" * 995), "why not", 0.0)
        assert [each["size_bytes"] for each in await parking.list()] == [4, 995]
        await parking.put(Letter("", {}, b"x" * 2000), "why not", 0.0)
        assert [each["size_bytes"] for each in await parking.list()] == [2000]
    finally:
        await sidecar.close()
