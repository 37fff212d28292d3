"""`proxima prefetch`: images come before anybody pulls them, once, by the way of pulls."""

import threading

import pytest

from config import Secret
from tests.conftest import Opened
from tests.fills.in_process import InProcess, in_process
from tests.support.accounts import Credentials
from tests.support.command_line import Proxima
from tests.support.hostile import Hold, HostileUpstream, Status
from tests.support.images import (
    OCI_LAYER,
    Manifest,
    manifest_of,
    nested_index,
    oci_image,
    oci_index,
)
from tests.support.layers import Blob, blob
from tests.support.pushing import push
from tests.support.registries import Registry
from tests.support.registry_client import RegistryClient
from tests.support.store_tree import visible_blobs
from tests.verbs.conftest import REPOSITORY, pull


def attested(seed: str = "attested") -> Manifest:
    """Give an index for two platforms with an attestation, as builders write it."""
    images = [oci_image(f"{seed}-{name}", architecture=name) for name in ("amd64", "arm64")]
    unknown = {"architecture": "unknown", "os": "unknown"}
    statement = blob(b'{"statement": 1}', "application/vnd.in-toto+json")
    document = oci_image(f"{seed}-config").document() | {"layers": [statement.descriptor()]}
    config = oci_image(f"{seed}-config").blobs[0]
    attestation = manifest_of(
        document, images[0].media_type, blobs=[config, statement], platform=unknown
    )
    return oci_index([*images, attestation])


def test_an_image_is_brought_once(proxima: Proxima, running: InProcess, upstream, images):
    """Everything of an image is fetched and said to be; the second time all of it is here and the
    primary is asked about the tag at most; pulls need no byte any more.
    """
    first = proxima("prefetch", "team/app:1.0", "team/app:many", "--store", running.store, "--json")
    parts = [each.digest for each in images.single.blobs] + [
        one.digest for image in images.many.children for one in image.blobs
    ]
    assert (first.status, first.result["failed"], first.result["here"]) == (0, 0, 0)
    assert first.result["fetched"] == 2 + 2 + len(set(parts))
    before = upstream.count("GET")
    again = proxima("prefetch", "team/app:1.0", "team/app:many", "--store", running.store, "--json")
    assert (again.status, again.result["fetched"]) == (0, 0)
    assert again.result["here"] == first.result["fetched"]
    pull(running, images.single, "1.0")
    pull(running, images.many, "many")
    assert upstream.count("GET") == before


def test_platforms_are_chosen(proxima: Proxima, running: InProcess, upstream: HostileUpstream):
    """Settled 35: of an index the chosen platform comes, and what is for none: attestations."""
    index = upstream.contents.add(REPOSITORY, attested(), "built")
    amd64, arm64, attestation = index.children
    call = ("prefetch", "team/app:built", "--store", running.store, "--json")
    outcome = proxima(*call, "--platform", "linux/amd64")
    assert outcome.status == 0
    here = set(visible_blobs(running.store))
    assert {index.digest, amd64.digest, attestation.digest} <= here
    assert {one.digest for each in (amd64, attestation) for one in each.blobs} <= here
    assert here.isdisjoint({arm64.digest, arm64.blobs[0].digest})
    assert proxima(*call, "--platform", "linux/amd64", "--platform", "linux/arm64").status == 0
    assert arm64.digest in visible_blobs(running.store)
    wrong = proxima(*call, "--platform", "linux")
    assert (wrong.status, "no platform" in wrong.errors) == (1, True)


def test_indexes_within_indexes_come(proxima: Proxima, running: InProcess, upstream):
    """An index below an index is followed."""
    index = upstream.contents.add(REPOSITORY, nested_index(), "nested")
    assert proxima("prefetch", "team/app:nested", "--store", running.store).status == 0
    wanted = {each.digest for each in (*index.all_manifests(), *index.all_blobs())}
    assert wanted <= set(visible_blobs(running.store))


def test_a_running_flight_is_joined(proxima: Proxima, running: InProcess, upstream, images):
    """C7: what a client is fetching already is fetched once for both."""
    layer = images.single.blobs[-1]
    path = f"/v2/{REPOSITORY}/blobs/{layer.digest}"
    held = upstream.inject(Hold(), method="GET", path=path)
    client = threading.Thread(target=lambda: running.client.get(path).expect(200))
    client.start()
    try:
        held.wait_fired()
        timer = threading.Timer(0.3, held.release)
        timer.start()
        outcome = proxima("prefetch", "team/app:1.0", "--store", running.store, "--json")
        timer.join()
    finally:
        held.release()
        client.join()
    assert (outcome.status, outcome.result["failed"]) == (0, 0)
    assert upstream.count("GET", path) == 1


def test_what_fails_is_told_and_the_rest_comes(proxima: Proxima, running: InProcess, upstream):
    """An image that isn't there, and a blob that the primary can't give, are told by name; all
    else comes, and the exit status says that something is missing.
    """
    image = upstream.contents.add(REPOSITORY, oci_image("broken"), "broken")
    missing = image.blobs[-1].digest
    fault = upstream.inject(Status(404), path=f"/v2/{REPOSITORY}/blobs/{missing}", times=None)
    call = ("prefetch", "team/app:broken", "team/app:none", "--store", running.store, "--json")
    outcome = proxima(*call)
    assert outcome.status == 1
    assert set(outcome.deeds("failed")) == {f"team/app@{missing}", "team/app:none"}
    assert fault.fired
    here = set(visible_blobs(running.store))
    assert {each.digest for each in image.blobs[:-1]} <= here
    assert missing not in here


def test_foreign_layers_are_passed_over(proxima: Proxima, running: InProcess, upstream):
    """A layer that lies elsewhere by its type, and not at the primary, is no failure."""
    foreign = OCI_LAYER.replace("image.layer", "image.layer.nondistributable")
    base = oci_image("foreign")
    layer = Blob(b"elsewhere", blob(b"elsewhere").digest, foreign)
    document = base.document() | {"layers": [layer.descriptor()]}
    image = manifest_of(document, base.media_type, blobs=base.blobs[:1])
    upstream.contents.add(REPOSITORY, image, "foreign")
    outcome = proxima("prefetch", "team/app:foreign", "--store", running.store, "--json")
    assert (outcome.status, outcome.deeds("skipped")) == (0, [f"team/app@{layer.digest}"])


def test_our_own_identity_asks(
    proxima: Proxima, htpasswd_primary: Registry, admin: Credentials, opened: Opened
):
    """Design 7: behind a login the replica's own identity is used; without one nothing comes, and
    what to set is told by the primary's refusal.
    """
    image = oci_image("guarded")
    push(RegistryClient(htpasswd_primary.url, admin), REPOSITORY, image, "1.0")
    for own, status in ((False, 1), (True, 0)):
        primary: dict[str, object] = {"url": htpasswd_primary.url}
        if own:
            primary |= {"username": admin.username, "password": Secret(admin.password)}
        replica = opened(in_process(htpasswd_primary.url, primary=primary))
        outcome = proxima("prefetch", "team/app:1.0", "--store", replica.store, "--json")
        assert outcome.status == status, outcome
        assert (image.blobs[-1].digest in visible_blobs(replica.store)) == own


def test_without_a_replica_nothing_is_brought(proxima: Proxima, warm, life):
    """There is no second way to the primary: a replica has to run."""
    life.close()
    outcome = proxima("prefetch", "team/app:1.0", "--store", warm.store)
    assert (outcome.status, "no replica answers" in outcome.errors) == (1, True)


@pytest.mark.parametrize("reference", ["Team/App:1", "team/app@sha256:x"])
def test_what_is_no_reference_is_refused(proxima: Proxima, running: InProcess, reference):
    """A reference outside the grammar is told before anything is asked."""
    outcome = proxima("prefetch", reference, "--store", running.store)
    assert (outcome.status, outcome.errors.startswith("proxima: prefetch: ")) == (1, True)
