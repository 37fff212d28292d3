"""A real replica process that is killed while it replicates from a stock registry."""

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hub.place import ADMIN_TOKEN, SENDER
from tests.hub.process import HubProcess, hub_process
from tests.support import registries
from tests.support.fixtures import require
from tests.support.images import Manifest, big_image, multi_platform
from tests.support.pushing import ACCEPT_ALL, assert_pullable, push
from tests.support.registries import Registry, docker_registry
from tests.support.registry_client import RegistryClient
from tests.support.replica import Replica, replica
from tests.support.store_tree import blob_path, tags, visible_blobs, wrong_blobs
from tests.support.waiting import wait_until

REPOSITORY = "shop/api"
ROUNDS = 5
IMAGE_BYTES = 3_000_000


@dataclass(frozen=True, slots=True)
class World:
    """A primary, its hub and a replica, each a process."""

    primary: Registry
    hub: HubProcess
    replica: Replica

    @property
    def publisher(self) -> RegistryClient:
        return RegistryClient(self.primary.url)

    @property
    def tags_there(self) -> dict[str, str]:
        """What the primary's tags name."""
        listed = self.publisher.get(f"/v2/{REPOSITORY}/tags/list").expect(200).json()["tags"]
        return {tag: self._digest(tag) for tag in listed or []}

    def _digest(self, tag: str) -> str:
        manifest = f"/v2/{REPOSITORY}/manifests/{tag}"
        reply = self.publisher.head(manifest, ACCEPT_ALL).expect(200)
        return str(reply.header("Docker-Content-Digest"))

    @property
    def tags_here(self) -> dict[str, str]:
        return tags(self.replica.store, REPOSITORY)

    def health(self) -> dict[str, object]:
        """Say how replication fares."""
        found: dict[str, object] = self.replica.get_ops("/readyz").json()["replication"]
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    require(registries.PROGRAM)
    known = {"id": "acme", "region": "ap-singapore"}
    with ExitStack() as stack:
        hub = stack.enter_context(hub_process(tmp_path, primary=known))
        notified = [f"http://{hub.api}/notifications"]
        primary = stack.enter_context(
            docker_registry(tmp_path / "primary", notify=notified, notify_with=SENDER)
        )
        known["url"] = primary.url
        hub.start()
        token = tmp_path / "token"
        token.write_text(_joined(hub))
        following = {"source": "hub", "hub_url": f"http://{hub.api}", "token_file": token}
        running = stack.enter_context(replica(primary.url, replication=following))
        yield World(primary, hub, running)


def _joined(hub: HubProcess) -> str:
    operator = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
    client = RegistryClient(f"http://{hub.api}")
    body = json.dumps({"region": "eu-frankfurt"}).encode()
    return str(client.request("POST", "/v1/replicas", operator, body).json()["token"])


def test_kills_amid_copies_cost_nothing(world: World) -> None:
    """C2, C17: kill -9 at any moment of the copying of what is pushed, moved and deleted, again and
    again: nothing wrong is visible, and after the last start all is as it is at the primary.
    """
    chance = random.Random(17)
    images: list[Manifest] = []
    for number in range(ROUNDS):
        before = arrived_bytes(world)
        image = big_image(IMAGE_BYTES, 3, f"round-{number}")
        images.append(image)
        push(world.publisher, REPOSITORY, image, f"v{number}")
        push(world.publisher, REPOSITORY, multi_platform(f"round-{number}"), "latest")
        if number:
            gone = images[number - 1].digest
            world.publisher.delete(f"/v2/{REPOSITORY}/manifests/{gone}").expect(202)
        enough = before + chance.randrange(IMAGE_BYTES)
        wait_until(lambda enough=enough: arrived_bytes(world) >= enough, 20, "some of it is here")
        world.replica.kill()
        assert wrong_blobs(world.replica.store) == set()
        world.replica.start()
    there = world.tags_there
    assert set(there) == {"latest", f"v{ROUNDS - 1}"}
    wait_until(lambda: world.tags_here == there, 60, "the tags are the primary's")
    wait_until(lambda: world.health()["queue"] == 0, 60, "no job is left")
    assert len(world.replica.events("replica.ready")) == ROUNDS + 1, "each kill was one"
    for image, tag in (
        (images[-1], f"v{ROUNDS - 1}"),
        (multi_platform(f"round-{ROUNDS - 1}"), "latest"),
    ):
        parts = {each.digest for each in (*image.all_manifests(), *image.all_blobs())}
        assert parts <= set(visible_blobs(world.replica.store)), tag
        assert_pullable(RegistryClient(world.replica.url), REPOSITORY, image, tag)
    assert world.replica.metrics().value("proxima_replication_dead") == 0
    assert list((world.replica.store / "spool").iterdir()) == []


def arrived_bytes(world: World) -> int:
    """Give how much of contents is here, whole or on its way."""
    store = world.replica.store
    spooled = sum(each.stat().st_blocks * 512 for each in (store / "spool").glob("*"))
    visible = (blob_path(store, digest).stat().st_size for digest in visible_blobs(store))
    return spooled + sum(visible)
