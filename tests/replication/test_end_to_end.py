"""The whole way: a stock registry tells a hub, the hub tells a replica, the replica copies."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config import Backfill, ReplicationSource
from proxy.oci.digest import Digest
from tests.fills.calls import blob_path
from tests.fills.in_process import InProcess, in_process
from tests.hub.place import ADMIN_TOKEN, SENDER
from tests.hub.process import HubProcess, hub_process
from tests.support import registries
from tests.support.fixtures import require
from tests.support.images import Manifest, multi_platform, oci_image
from tests.support.pushing import assert_pullable, push
from tests.support.recording_relay import Relay, recording_relay
from tests.support.registries import Registry, docker_registry
from tests.support.registry_client import RegistryClient
from tests.support.store_tree import tags, visible_blobs
from tests.support.waiting import wait_until

REPOSITORY = "shop/api"
TAG = "v1"
REGION = "eu-frankfurt"


@dataclass(frozen=True, slots=True)
class World:
    """A primary, its hub, and a replica that reaches the primary over a link that is recorded."""

    primary: Registry
    hub: HubProcess
    link: Relay
    replica: InProcess

    @property
    def publisher(self) -> RegistryClient:
        return RegistryClient(self.primary.url)

    def ask_hub(self, path: str) -> dict[str, Any]:
        """Ask the hub as an operator."""
        operator = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        reply = RegistryClient(f"http://{self.hub.api}").request("GET", path, operator)
        found: dict[str, Any] = json.loads(reply.expect(200).body)
        return found

    def push(self, image: Manifest, tag: str = TAG) -> None:
        """Push, and wait until the region has it."""
        push(self.publisher, REPOSITORY, image, tag)
        self.ask_hub(f"/v1/wait?repository={REPOSITORY}&reference={image.digest}&timeout=20")

    def is_complete(self, image: Manifest) -> bool:
        """Say whether the hub says so, as `proxima wait` asks it."""
        operator = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        path = f"/v1/wait?repository={REPOSITORY}&reference={image.digest}&timeout=0"
        return RegistryClient(f"http://{self.hub.api}").request("GET", path, operator).status == 200

    def states(self) -> list[str]:
        """Give the states of the replica instances, as the hub sees them."""
        return [each["state"] for each in self.ask_hub("/v1/replicas")["replicas"]]

    @property
    def tags(self) -> dict[str, str]:
        return tags(self.replica.store, REPOSITORY)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    require(registries.PROGRAM)
    known = {"id": "acme", "region": "ap-singapore"}
    sentinel = {"repository": "proxima/sentinel"}
    with ExitStack() as stack:
        hub = stack.enter_context(hub_process(tmp_path, primary=known, sentinel=sentinel))
        notified = [f"http://{hub.api}/notifications"]
        primary = stack.enter_context(
            docker_registry(tmp_path / "primary", notify=notified, notify_with=SENDER)
        )
        known["url"] = primary.url
        hub.start()
        token = tmp_path / "token"
        token.write_text(_joined(hub))
        link = stack.enter_context(recording_relay(primary.address))
        following = {
            "source": ReplicationSource.HUB,
            "hub_url": f"http://{hub.api}",
            "token_file": token,
            "backfill": Backfill.NONE,
            "reconcile_every": 0.0,
        }
        asks_without_lease = {"ttl": 0.0}
        replica = stack.enter_context(
            in_process(link.url, replication=following, tags=asks_without_lease)
        )
        yield World(primary, hub, link, replica)


def _joined(hub: HubProcess) -> str:
    operator = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
    body = json.dumps({"region": REGION}).encode()
    client = RegistryClient(f"http://{hub.api}")
    token: str = json.loads(client.request("POST", "/v1/replicas", operator, body).body)["token"]
    return token


def test_a_push_arrives_before_anyone_asks(world: World) -> None:
    """An image that was pushed to the primary is whole in the region, and the hub's log says so,
    without any client.
    """
    image = multi_platform("arrives")
    world.push(image)
    assert world.tags == {TAG: image.digest}
    parts = [*image.all_manifests(), *image.all_blobs()]
    assert {each.digest for each in parts} <= set(visible_blobs(world.replica.store))
    page = world.ask_hub(f"/v1/logs?repository={REPOSITORY}&tag={TAG}")
    (entry,) = page["entries"]
    assert (entry["what"], entry["state"], entry["region"]) == ("index", "complete", REGION)


def test_what_was_evicted_is_waited_for(world: World) -> None:
    """An image that was complete and isn't any more is none that `wait` takes for complete, until a
    pull has brought back what is missing.
    """
    image = oci_image("evicted")
    world.push(image)
    assert world.is_complete(image)
    replica = world.replica.replica
    replication = replica.replication
    assert replication is not None
    layer = image.blobs[-1].digest
    quarantine = replica._chain.store.tree.quarantine(Digest.parse(layer), "a test says so")
    world.replica.thread.run(quarantine)
    world.replica.thread.run(replication.presence.look())
    wait_until(lambda: not world.is_complete(image), 10, "it is evicted at the hub")
    world.replica.client.get(blob_path(REPOSITORY, layer)).expect(200)
    world.replica.wait_idle()
    world.replica.thread.run(replication.presence.look())
    wait_until(lambda: world.is_complete(image), 10, "it is complete at the hub")


def test_a_tag_is_answered_under_the_lease(world: World) -> None:
    """While the lease is live a tag pull is answered though nothing leaves the region, and a new
    push of the tag is seen by the next pull.
    """
    first, second = oci_image("first"), oci_image("second")
    world.push(first)
    client = world.replica.client
    assert_pullable(client, REPOSITORY, first, TAG)  # the right is proven
    news = world.replica.replica._news
    wait_until(news.assurance.is_live, what="a lease")
    before = len(world.link.exchanges)
    assert_pullable(client, REPOSITORY, first, TAG)
    assert world.link.exchanges[before:] == []
    world.push(second)
    assert_pullable(client, REPOSITORY, second, TAG)


def test_an_hour_without_the_hub_costs_freshness_alone(world: World) -> None:
    """With the hub gone pulls go on, by age; what was pushed meanwhile is copied afterwards."""
    first, second = oci_image("before"), oci_image("meanwhile")
    world.push(first)
    client = world.replica.client
    assert_pullable(client, REPOSITORY, first, TAG)
    world.hub.process.kill()
    push(world.publisher, REPOSITORY, second, TAG)
    world.replica.clock.advance(3600)
    assert not world.replica.replica._news.assurance.is_live()
    assert_pullable(client, REPOSITORY, second, TAG)
    push(world.publisher, REPOSITORY, first, "v2")
    world.hub.start()
    wait_until(lambda: world.tags.get("v2") == first.digest, 30, "the copy")


def test_a_deletion_arrives(world: World) -> None:
    """A manifest that is deleted at the primary is gone in the region, with its tag."""
    image = oci_image("deleted")
    world.push(image)
    world.publisher.delete(f"/v2/{REPOSITORY}/manifests/{image.digest}").expect(202)
    wait_until(lambda: world.tags == {}, 10, "the tag is gone")
    world.replica.client.get(f"/v2/{REPOSITORY}/manifests/{TAG}").expect(404)


def test_a_deleted_replica_stops(world: World) -> None:
    """A replica instance that is deleted drains, is gone from the list, and is told nothing more;
    pulls through it go on.
    """
    image = oci_image("stays")
    world.push(image)
    operator = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    hub = RegistryClient(f"http://{world.hub.api}")
    hub.request("DELETE", "/v1/replicas/acme-17", operator)
    wait_until(lambda: world.states() == ["Deleted"], 20, "deleted")
    assert not world.replica.replica._news.assurance.is_live()
    assert_pullable(world.replica.client, REPOSITORY, image, TAG)
