"""Pushes to a real docker-registry: every kind of content, every way it understands."""

import pytest

from tests.fills.in_process import InProcess
from tests.push.uploads import OCTETS, START, begin, chunked, finish, patch
from tests.support.images import OCI_MANIFEST, Manifest, oci_image
from tests.support.kinds import KINDS, Kind
from tests.support.layers import random_blob
from tests.support.pushing import assert_pullable, location, push, push_blob
from tests.support.recording_relay import Relay
from tests.support.registries import Registry
from tests.support.registry_client import RegistryClient
from tests.support.store_tree import linked_blobs, linked_manifests, tags, wrong_blobs

SIZE = 300_000
ACCEPT = {"Accept": OCI_MANIFEST}


def fetched(relay: Relay) -> list[str]:
    """Give what the replica got content of from the primary."""
    got = [each for each in relay.requests("GET") if each.path != "/v2/"]
    return [each.path for each in got if "/uploads/" not in each.path]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_is_pushed_and_not_fetched(
    primary: Registry, relay: Relay, real: InProcess, kind: Kind
) -> None:
    """Every kind of content pushed through us is at the primary, and here: pulling it fetches
    nothing.
    """
    content = kind.build("pushed")
    push(real.client, "app", content, "v1")
    assert_pullable(RegistryClient(primary.url), "app", content, "v1")
    relay.forget()
    assert_pullable(real.client, "app", content, "v1")
    assert fetched(relay) == []
    assert wrong_blobs(real.store) == set()


def test_ways_to_upload(primary: Registry, relay: Relay, real: InProcess) -> None:
    """A whole PUT, chunks, a stream, a chunk that ends in the PUT, a POST with everything: all
    arrive, and are here.
    """
    client = real.client
    whole, chunks, stream, mixed, offered = (random_blob(SIZE, name) for name in "abcde")
    finish(client, begin(client), whole, whole.data).expect(201)

    target = begin(client)
    for start in range(0, SIZE, 100_000):
        reply = patch(client, target, chunks.data[start : start + 100_000], start).expect(202)
        assert reply.header("Range") == f"0-{start + 99_999}"
        target = location(reply)
    finish(client, target, chunks).expect(201)

    headers, body = chunked(stream.data)
    reply = client.request("PATCH", begin(client), headers, body).expect(202)
    finish(client, location(reply), stream).expect(201)

    target = location(patch(client, begin(client), mixed.data[:1000]).expect(202))
    finish(client, target, mixed, mixed.data[1000:]).expect(201)

    reply = client.request("POST", f"{START}?digest={offered.digest}", OCTETS, offered.data)
    if reply.expect(201, 202).status == 202:
        finish(client, location(reply), offered, offered.data).expect(201)

    everything = (whole, chunks, stream, mixed, offered)
    for content in everything:
        path = f"/v2/app/blobs/{content.digest}"
        assert RegistryClient(primary.url).get(path).expect(200).body == content.data
        assert client.get(path).expect(200).body == content.data
    assert fetched(relay) == []
    assert linked_blobs(real.store, "app") == {each.digest for each in everything}


def test_the_registrys_state_survives(relay: Relay, real: InProcess) -> None:
    """Settled 28: what docker-registry wrote into an upload's query comes back to it unchanged,
    though it named the upload by another URL.
    """
    content = random_blob(1000)
    client = real.client
    for step in range(2):
        begun = client.request("POST", START).expect(202)
        target = begun.header("Location") or ""
        assert target.startswith(START)
        answer = relay.requests("POST")[step].response_fields.get("Location")
        assert answer.startswith("http://")
        assert "_state=" in answer
        assert answer.endswith(target)
        reply = patch(client, target, content.data).expect(202)
        assert relay.requests("PATCH")[step].target == target
        finish(client, location(reply), content).expect(201)


def test_status_and_cancel(relay: Relay, real: InProcess) -> None:
    """GET tells how far an upload is, DELETE ends it: after that it is unknown."""
    client = real.client
    target = location(patch(client, begin(client), bytes(1000)).expect(202))
    state = client.get(target).expect(204)
    assert state.header("Range") == "0-999"
    client.delete(location(state)).expect(204)
    assert client.get(target).expect(404).error_codes == ["BLOB_UPLOAD_UNKNOWN"]
    assert real.spooled == []


@pytest.mark.parametrize(("source", "status"), [("source", 201), ("elsewhere", 202)])
def test_mounts(relay: Relay, real: InProcess, source: str, status: int) -> None:
    """A mount is linked here if the registry did it: pulling it fetches nothing."""
    content = random_blob(SIZE)
    push_blob(real.client, "source", content)
    query = f"mount={content.digest}&from={source}"
    real.client.request("POST", f"{START}?{query}").expect(status)
    relay.forget()
    reply = real.client.get(f"/v2/app/blobs/{content.digest}")
    assert reply.status == (200 if status == 201 else 404)
    assert fetched(relay) == []


def test_a_wrong_digest(real: InProcess) -> None:
    """C1: an upload that isn't what it is called is the registry's 400, and is nowhere here."""
    reply = finish(real.client, begin(real.client), random_blob(10), b"something else").expect(400)
    assert reply.error_codes == ["DIGEST_INVALID"]
    assert linked_blobs(real.store, "app") == set()


def deleted(real: InProcess, image: Manifest) -> None:
    push(real.client, "app", image, "v1")
    real.client.delete(f"/v2/app/manifests/{image.digest}").expect(202)


def test_deletes(primary: Registry, real: InProcess) -> None:
    """A manifest and a blob deleted through us are gone there and here."""
    image = oci_image("deleted")
    deleted(real, image)
    direct = RegistryClient(primary.url)
    for client in (direct, real.client):
        client.get(f"/v2/app/manifests/{image.digest}").expect(404)
        client.get("/v2/app/manifests/v1").expect(404)
    assert linked_manifests(real.store, "app") == set()
    assert tags(real.store, "app") == {}
    path = f"/v2/app/blobs/{image.blobs[1].digest}"
    real.client.delete(path).expect(202)
    for client in (direct, real.client):
        client.get(path).expect(404)


def test_a_tag_is_moved(primary: Registry, relay: Relay, real: InProcess) -> None:
    """A tag pushed again through us is the new image at once, for us and for the primary."""
    old, new = oci_image("old"), oci_image("new")
    for image in (old, new):
        push(real.client, "app", image, "v1")
        relay.forget()
        for client in (RegistryClient(primary.url), real.client):
            digest = client.head("/v2/app/manifests/v1", ACCEPT).header("Docker-Content-Digest")
            assert digest == image.digest
    assert fetched(relay) == []
