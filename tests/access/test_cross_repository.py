"""C4: a digest of one repository can't be read through another, whatever is here already."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from proxy.registry import durable
from proxy.registry.flight_file import FlightFile
from tests.access.in_process import in_process
from tests.support.hostile import BLOBS, Hold, Status
from tests.support.images import oci_artifact, oci_image
from tests.support.layers import digest_of
from tests.support.pushing import push
from tests.support.registry_client import RegistryClient
from tests.support.store_tree import linked_blobs, linked_manifests
from tests.support.waiting import wait_until


def reads(repository, image):
    """Give every way to read an image of bob's through a repository."""
    digest, layer = image.digest, image.blobs[-1].digest
    return {
        "HEAD of a layer": ("HEAD", f"/v2/{repository}/blobs/{layer}", {}),
        "a layer": ("GET", f"/v2/{repository}/blobs/{layer}", {}),
        "a part of a layer": ("GET", f"/v2/{repository}/blobs/{layer}", {"Range": "bytes=0-9"}),
        "a config": ("GET", f"/v2/{repository}/blobs/{image.blobs[0].digest}", {}),
        "HEAD of a manifest": ("HEAD", f"/v2/{repository}/manifests/{digest}", {}),
        "a manifest": ("GET", f"/v2/{repository}/manifests/{digest}", {}),
        "a manifest as a blob": ("GET", f"/v2/{repository}/blobs/{digest}", {}),
        "a layer as a manifest": ("GET", f"/v2/{repository}/manifests/{layer}", {}),
        "whether it changed": (
            "GET",
            f"/v2/{repository}/blobs/{layer}",
            {"If-None-Match": f'"{layer}"'},
        ),
    }


def warm(bob, image):
    """Bring bob's image here, as bob."""
    bob.get(f"/v2/bob/app/manifests/{image.digest}").expect(200)
    bob.get("/v2/bob/app/manifests/latest").expect(200)
    for blob in image.blobs:
        bob.get(f"/v2/bob/app/blobs/{blob.digest}").expect(200)


def links_of(one, repository):
    """Give the digests that a repository links in the store of a replica."""
    root = one.settings.store.root
    return linked_blobs(root, repository) | linked_manifests(root, repository)


@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("kind", ["tokens", "passwords"])
def test_bobs_image_is_not_read_through_alices_repository(
    kind, is_warm, token_world, password_world
):
    """C4, CVE-2024-39897: neither cold nor warm, by no method, and no link comes of the try."""
    world = token_world() if kind == "tokens" else password_world()
    if is_warm:
        warm(world.client("bob"), world.images["bob/app"])
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    before = links_of(world.replica, "alice/app")
    found = {}
    for name, (method, target, headers) in reads("alice/app", world.images["bob/app"]).items():
        reply = alice.request(method, target, headers)
        found[name] = reply.status, reply.header("Docker-Content-Digest"), reply.header("ETag")
    assert set(found.values()) == {(404, None, None)}, found
    assert links_of(world.replica, "alice/app") == before == {world.images["alice/app"].digest}


def test_alice_reads_nothing_in_bobs_repository(password_world):
    """C4: with a right of one's own elsewhere, everything here is the primary's own refusal."""
    world = password_world()
    warm(world.client("bob"), world.images["bob/app"])
    alice = world.client("alice")
    world.pull(alice, "alice/app").expect(200)
    for method, target, headers in reads("bob/app", world.images["bob/app"]).values():
        assert alice.request(method, target, headers).status == 403


def test_a_head_makes_no_link(password_world):
    """C4, T1: bytes that are here under another repository are told of by HEAD, after the primary
    said so for this one; a link comes with a GET alone.
    """
    world = password_world()
    warm(world.client("bob"), world.images["bob/app"])
    layer = world.images["bob/app"].blobs[-1]
    world.upstream.contents.repository("alice/app").blobs[layer.digest] = layer.data
    alice = world.client("alice")
    assert alice.head(f"/v2/alice/app/blobs/{layer.digest}").status == 200
    assert links_of(world.replica, "alice/app") == set()
    reads_before = world.upstream.count("GET", BLOBS)
    assert alice.get(f"/v2/alice/app/blobs/{layer.digest}").body == layer.data
    wait_until(lambda: links_of(world.replica, "alice/app") == {layer.digest})
    assert world.upstream.count("GET", BLOBS) == reads_before  # a HEAD sufficed


def test_who_joins_a_flight_at_its_very_end_gets_a_link_too(password_world, monkeypatch):
    """Settled 16: the primary's yes makes a link, though the flight that brought the bytes has
    made its own already; else alice's image were incomplete in an outage.
    """
    world = password_world()
    layer = world.images["bob/app"].blobs[-1]
    world.upstream.contents.repository("alice/app").blobs[layer.digest] = layer.data
    ending, gate = threading.Event(), threading.Event()
    let_go = FlightFile.let_go

    async def held(file, spool):
        ending.set()
        while not gate.is_set():
            await asyncio.sleep(0.01)
        await let_go(file, spool)

    monkeypatch.setattr(FlightFile, "let_go", held)
    try:
        world.client("bob").get(f"/v2/bob/app/blobs/{layer.digest}").expect(200)
        assert ending.wait(10)
        world.client("alice").get(f"/v2/alice/app/blobs/{layer.digest}").expect(200)
        wait_until(lambda: links_of(world.replica, "alice/app") == {layer.digest}, 3)
    finally:
        gate.set()


def test_a_push_that_names_anothers_layer_links_nothing(password_world):
    """C4, settled 16: being named in a manifest, as layer or as subject, gives nobody anything."""
    world = password_world()
    warm(world.client("bob"), world.images["bob/app"])
    world.upstream.settings.checks_blobs = False  # as docker-registry does with foreign layers
    alice = world.client("alice")
    theirs = world.images["bob/app"]
    data = theirs.data + b" "
    digest = digest_of(data)
    headers = {"Content-Type": theirs.media_type}
    alice.request("PUT", f"/v2/alice/app/manifests/{digest}", headers, data).expect(201)
    artifact = oci_artifact(subject=theirs)
    headers = {"Content-Type": artifact.media_type}
    target = f"/v2/alice/app/manifests/{artifact.digest}"
    alice.request("PUT", target, headers, artifact.data).expect(201)
    for method, target, headers in reads("alice/app", theirs).values():
        assert alice.request(method, target, headers).status == 404


def test_referrers_of_bobs_image_are_bobs(password_world):
    """C4: referrers that were kept for one repository are told in no other."""
    world = password_world()
    theirs = world.images["bob/app"]
    signature = world.upstream.contents.add("bob/app", oci_artifact("signature", subject=theirs))
    bob, alice = world.client("bob"), world.client("alice")
    told = bob.get(f"/v2/bob/app/referrers/{theirs.digest}").expect(200)
    assert signature.digest.encode() in told.body
    reply = alice.get(f"/v2/alice/app/referrers/{theirs.digest}")
    assert reply.expect(200).json()["manifests"] == []
    assert alice.get(f"/v2/bob/app/referrers/{theirs.digest}").status == 403


def test_a_waiting_flight_gives_nothing_to_whom_the_primary_refuses(password_world):
    """C4, C6: a blob that is on its way for bob is given to nobody of another repository, not even
    to one who asked first and is refused while the flight waits for its turn.
    """
    world = password_world(fill={"max_concurrent": 1})
    layer = world.images["bob/app"].blobs[-1]
    alice, bob = world.client("alice"), world.client("bob")
    for client, repository in ((alice, "alice/app"), (bob, "bob/app")):
        world.pull(client, repository).expect(200)
    held = world.upstream.inject(Hold(), method="GET", path=BLOBS)  # takes the only turn
    refused = world.upstream.inject(
        Status(401), method="GET", path=f"/v2/alice/app/blobs/{layer.digest}", times=None
    )
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(alice.get, world.layer("alice/app"))
        held.wait_fired()
        mine = pool.submit(alice.get, f"/v2/alice/app/blobs/{layer.digest}")
        wait_until(lambda: world.replica.metrics().value("proxima_flights") == 2)
        theirs = pool.submit(bob.get, f"/v2/bob/app/blobs/{layer.digest}")
        wait_until(lambda: world.upstream.count("HEAD", f"/v2/bob/app/blobs/{layer.digest}") == 1)
        held.release()
        assert first.result(10).status == 200
        assert theirs.result(10).body == layer.data
        reply = mine.result(10)
    assert refused.fired
    assert reply.status == 401
    assert layer.data not in reply.body


def test_a_mount_needs_the_right_to_read_its_source(token_primary, tokens, alice, bob, opened):
    """C4, Harbor 23270: alice can't mount bob's layer, though its bytes are here: the primary's
    answer is hers, and nothing is linked. Hers she can, and that is linked.
    """
    direct = RegistryClient(token_primary.url, alice)
    theirs, mine = oci_image("bob"), oci_image("alice")
    push(RegistryClient(token_primary.url, bob), "bob/app", theirs, "latest")
    push(direct, "alice/app", mine)
    trusted = {"trusted_origins": (f"http://{tokens.address}",)}
    one = opened(in_process(token_primary.url, primary=trusted))
    warm(one.client(bob), theirs)
    client = one.client(alice)
    layer, own = theirs.blobs[-1].digest, mine.blobs[-1].digest
    for each, source, answer in (
        (layer, "bob/app", 401),
        (layer, "alice/app", 202),
        (own, "alice/app", 201),
    ):
        target = f"/v2/alice/other/blobs/uploads/?mount={each}&from={source}"
        for asked in (client, direct):
            asked.log_out()
            assert asked.request("POST", target).status == answer
    for method, path, headers in reads("alice/other", theirs).values():
        assert client.request(method, path, headers).status == 404
    assert links_of(one, "alice/other") == {own}


@pytest.mark.parametrize("kind", ["blob", "manifest"])
def test_what_is_deleted_during_a_fill_stays_deleted(kind, password_world, monkeypatch):
    """C4, CVE-2026-35172: a fill that ends after a delete doesn't bring the link back; what bob is
    given meanwhile is bob's.
    """
    world = password_world()
    image = world.images["alice/app"]
    blob = image.blobs[-1]
    digest = blob.digest if kind == "blob" else image.digest
    target = f"/v2/alice/app/{'blobs' if kind == 'blob' else 'manifests'}/{digest}"
    world.upstream.contents.repository("bob/app").blobs[blob.digest] = blob.data
    gate, waiting = threading.Event(), threading.Event()
    write_file = durable.write_file

    def held_write(path, *arguments, **options):
        if path.name == "link":
            waiting.set()
            assert gate.wait(10)
        write_file(path, *arguments, **options)

    monkeypatch.setattr("proxy.registry.durable.write_file", held_write)
    alice = world.client("alice")
    with ThreadPoolExecutor(2) as pool:
        pulling = pool.submit(alice.get, target)
        assert waiting.wait(10)
        deleting = pool.submit(world.client("alice").delete, target)
        wait_until(lambda: (world.upstream.requests("DELETE") and deleting.done()) or gate.is_set())
        gate.set()
        assert pulling.result(10).status == 200
        assert deleting.result(10).status == 202
    wait_until(lambda: world.replica.metrics().value("proxima_flights") == 0)
    assert alice.get(target).status == 404
    assert digest not in links_of(world.replica, "alice/app")
