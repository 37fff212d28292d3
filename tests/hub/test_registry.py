"""A real registry that notifies a hub: what is pushed is told, whatever happens in between."""

import asyncio
from pathlib import Path

import pytest

from tests.hub.follower import Follower, following
from tests.hub.place import SENDER_SECRET, running_hub
from tests.support import registries
from tests.support import skopeo as skopeo_client
from tests.support.fixtures import Opened, require
from tests.support.images import oci_image
from tests.support.ports import claimed_port
from tests.support.pushing import push
from tests.support.registries import Registry, docker_registry
from tests.support.registry_client import RegistryClient
from tests.support.skopeo import Skopeo, docker, folder_copy

BEARER = {"Authorization": f"Bearer {SENDER_SECRET}"}


@pytest.fixture
def port(opened: Opened) -> int:
    """The hub's port."""
    return opened(claimed_port())


@pytest.fixture
def notifying(tmp_path: Path, port: int, opened: Opened) -> Registry:
    """A registry whose notifications go to the hub's port."""
    require(registries.PROGRAM)
    url = f"http://127.0.0.1:{port}/notifications"
    return opened(docker_registry(tmp_path / "registry", notify=[url], notify_with=BEARER))


async def pushed_tags(follower: Follower, number: int) -> list[str]:
    """Give the tags of the next so many manifests."""
    tags: list[str] = []
    while len(tags) < number:
        event = (await follower.next()).data["event"]
        if event["event"] == "manifest.pushed":
            tags.append(event["tag"])
    return tags


async def test_what_skopeo_pushes_is_told(
    tmp_path: Path, port: int, notifying: Registry, skopeo: Skopeo
) -> None:
    """C16: blobs first, the manifest last, then its deletion, each with its digest."""
    require(skopeo_client.PROGRAM)
    client, image = RegistryClient(notifying.url), oci_image("told")
    async with running_hub(tmp_path, listen__api=[f"127.0.0.1:{port}"]) as place:
        await asyncio.to_thread(push, client, "shop/api", image, "v1")
        source, copy = docker(notifying.address, "shop/api:v1"), tmp_path / "copy"
        await asyncio.to_thread(lambda: skopeo.copy(source, folder_copy(copy)).check())
        target = docker(notifying.address, "shop/web:v2")
        await asyncio.to_thread(lambda: skopeo.copy(folder_copy(copy), target).check())
        await asyncio.to_thread(lambda: skopeo.delete(target).check())
        async with following(place) as follower:
            events = []
            while not events or events[-1]["event"] != "manifest.deleted":
                events.append((await follower.next()).data["event"])
    web = [each for each in events if each["repository"] == "shop/web"]
    blobs = {each["digest"] for each in web if each["event"] == "blob.pushed"}
    assert {str(blob.digest) for blob in image.blobs} <= blobs
    manifest = next(each for each in web if each["event"] == "manifest.pushed")
    assert (manifest["tag"], manifest["digest"]) == ("v2", str(image.digest))
    assert web.index(manifest) == len(web) - 2
    assert web[-1]["digest"] == str(image.digest)


async def test_a_hub_that_is_away_misses_nothing(
    tmp_path: Path, port: int, notifying: Registry
) -> None:
    """F14: what is pushed while the hub is down is told once it is back, in order, each once."""
    client, image = RegistryClient(notifying.url), oci_image("away")
    address = [f"127.0.0.1:{port}"]
    async with running_hub(tmp_path, listen__api=address):
        await asyncio.to_thread(push, client, "shop/api", image, "v0")
    for number in range(1, 6):
        await asyncio.to_thread(push, client, "shop/api", image, f"v{number}")
    async with running_hub(tmp_path, listen__api=address) as place, following(place) as follower:
        assert await pushed_tags(follower, 6) == [f"v{number}" for number in range(6)]
