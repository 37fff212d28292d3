"""Referrers: signatures and SBOMs come along with what was there before, or was missed."""

import pytest

from proxy.replication.work import Kind as TargetKind
from proxy.replication.work import Trigger
from proxy.telemetry.labels import CopyEnd
from tests.replication.copying import REPOSITORY, Told, told
from tests.support.hostile import REFERRERS, HostileUpstream, OtherBody, Page, Status
from tests.support.images import (
    OCI_EMPTY,
    OCI_MANIFEST,
    Manifest,
    manifest_of,
    multi_platform,
    oci_artifact,
    oci_image,
    oci_index,
)
from tests.support.layers import blob
from tests.support.pushing import pull
from tests.support.store_tree import linked_manifests, visible_blobs
from tests.support.waiting import wait_until

SIGNATURE = "application/vnd.example.signature.v1+json"
SBOM = "application/vnd.example.sbom.v1+json"


@pytest.fixture
def image(upstream: HostileUpstream) -> Manifest:
    return upstream.contents.add(REPOSITORY, oci_image("signed"), "v1")


def refers(upstream: HostileUpstream, subject: Manifest, kind: str, seed: str = "") -> Manifest:
    """Put an artifact that refers to *subject* at the primary."""
    made = oci_artifact(seed or kind.rpartition(".")[2], artifact_type=kind, subject=subject)
    return upstream.contents.add(REPOSITORY, made)


def copied(replica: Told, trigger: Trigger = Trigger.BACKFILL) -> None:
    replica.tell("v1", trigger=trigger)
    (entry,) = replica.wait_done()
    assert entry.end is CopyEnd.COMPLETE, entry


def here(replica: Told) -> set[str]:
    return linked_manifests(replica.running.store, REPOSITORY)


@pytest.mark.parametrize("trigger", [Trigger.BACKFILL, Trigger.RECONCILE, Trigger.PULL])
def test_they_come_along(upstream: HostileUpstream, image: Manifest, trigger: Trigger) -> None:
    """What refers to an image, and to that, is here with its blobs, each fetched once."""
    signature = refers(upstream, image, SIGNATURE)
    sbom = refers(upstream, image, SBOM)
    of_the_sbom = refers(upstream, sbom, SIGNATURE, "of the SBOM")
    with told(upstream.url) as replica:
        copied(replica, trigger)
        found = {signature.digest, sbom.digest, of_the_sbom.digest}
        assert here(replica) == {image.digest, *found}
        blobs = {each.digest for one in (signature, sbom, of_the_sbom) for each in one.blobs}
        assert blobs <= visible_blobs(replica.running.store).keys()
        for digest in found:
            assert upstream.count("GET", f"/v2/{REPOSITORY}/manifests/{digest}") == 1


def test_events_bring_their_own(upstream: HostileUpstream, image: Manifest) -> None:
    """A pushed image costs no question about referrers: they have events of their own."""
    refers(upstream, image, SIGNATURE)
    with told(upstream.url) as replica:
        copied(replica, Trigger.EVENT)
        assert here(replica) == {image.digest}
        assert not upstream.requests(path=REFERRERS)


def test_those_of_children_come(upstream: HostileUpstream) -> None:
    """Signatures of the images of an index come, and none of an image that isn't copied."""
    index = upstream.contents.add(REPOSITORY, multi_platform("signed"), "v1")
    amd64, arm64 = index.children
    wanted = [refers(upstream, each, SIGNATURE, f"of {n}") for n, each in enumerate((amd64, index))]
    unwanted = refers(upstream, arm64, SIGNATURE, "of arm64")
    with told(upstream.url, replication={"platforms": ("linux/amd64",)}) as replica:
        copied(replica)
        assert {each.digest for each in wanted} <= here(replica)
        assert unwanted.digest not in here(replica)


def test_every_page_is_read(upstream: HostileUpstream, image: Manifest) -> None:
    """A list of referrers in pages is read to its end."""
    upstream.settings.referrers_page = 2
    found = [refers(upstream, image, SIGNATURE, f"number {n}") for n in range(5)]
    with told(upstream.url) as replica:
        copied(replica)
        assert {each.digest for each in found} <= here(replica)


def test_a_circle_ends(upstream: HostileUpstream, image: Manifest) -> None:
    """A list that names the subject itself, and what refers to it, leads to no second question."""
    signature = refers(upstream, image, SIGNATURE)
    both = oci_index([image, signature])
    fault = upstream.inject(OtherBody(both.data), path=REFERRERS, times=None)
    with told(upstream.url) as replica:
        copied(replica)
        assert here(replica) == {image.digest, signature.digest}
        assert fault.fired == 2  # of the image, of the signature


def test_a_chain_has_a_depth(upstream: HostileUpstream, image: Manifest) -> None:
    """Referrers of referrers are followed some steps, and no further."""
    chain = [image]
    for number in range(6):
        chain.append(refers(upstream, chain[-1], SIGNATURE, f"step {number}"))
    with told(upstream.url) as replica:
        copied(replica)
        assert here(replica) == {each.digest for each in chain[:4]}


# --- where the API is absent ----------------------------------------------------------------------


def fallback(digest: str) -> str:
    return digest.replace(":", "-")


def test_the_fallback_tag(upstream: HostileUpstream, image: Manifest) -> None:
    """Where there is no API, the index under the fallback tag comes, and what it names."""
    upstream.settings.has_referrers = False
    signature = refers(upstream, image, SIGNATURE)
    index = upstream.contents.add(REPOSITORY, oci_index([signature]), fallback(image.digest))
    with told(upstream.url, replication={"tags": ("v*",)}) as replica:
        copied(replica)
        assert here(replica) == {image.digest, signature.digest, index.digest}
        assert replica.tags == {"v1": image.digest, fallback(image.digest): index.digest}
        assert upstream.count(path=REFERRERS) == 1, "it is remembered that there is none"


@pytest.mark.parametrize("has_api", [True, False])
@pytest.mark.parametrize("suffix", [".sig", ".att", ".sbom"])
def test_tags_of_cosign(
    upstream: HostileUpstream, image: Manifest, suffix: str, has_api: bool
) -> None:
    """What cosign pushed under its own tags comes, whether there is an API or not."""
    upstream.settings.has_referrers = has_api
    config = blob(b"{}", OCI_EMPTY)
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.descriptor()}
    signed = manifest_of(document | {"layers": []}, OCI_MANIFEST, blobs=[config])
    tag = fallback(image.digest) + suffix
    upstream.contents.add(REPOSITORY, signed, tag)
    with told(upstream.url) as replica:
        copied(replica)
        assert replica.tags == {"v1": image.digest, tag: signed.digest}


def test_nothing_is_asked_for_that_is_not_there(upstream: HostileUpstream, image: Manifest) -> None:
    """Fallback tags that the primary's list lacks cost no request."""
    upstream.settings.has_referrers = False
    with told(upstream.url) as replica:
        copied(replica)
        asked = {seen.path for seen in upstream.seen if seen.status == 404}
        assert asked == {f"/v2/{REPOSITORY}/referrers/{image.digest}"}


# --- where it fails -------------------------------------------------------------------------------


def test_a_silent_primary_is_asked_again(upstream: HostileUpstream, image: Manifest) -> None:
    """The image is here and named, and the job comes again until its referrers are here, too."""
    signature = refers(upstream, image, SIGNATURE)
    fault = upstream.inject(Status(503), path=REFERRERS)
    with told(upstream.url) as replica:
        replica.tell("v1", trigger=Trigger.BACKFILL)
        wait_until(lambda: replica.entries(state="failed"))
        assert fault.fired
        assert replica.tags == {"v1": image.digest}
        replica.advance(60)
        replica.wait_quiet()
        assert signature.digest in here(replica)


@pytest.mark.parametrize(
    "kind", [Status(403), Status(401), Status(400), OtherBody(b"no list"), Page(200)], ids=str
)
def test_a_list_that_is_refused(
    upstream: HostileUpstream, image: Manifest, kind: Status | OtherBody | Page
) -> None:
    """A primary that doesn't tell us its referrers keeps no image from being complete."""
    fault = upstream.inject(kind, path=REFERRERS, times=None)
    with told(upstream.url) as replica:
        copied(replica)
        assert fault.fired
        assert replica.tags == {"v1": image.digest}


def test_one_that_is_missing_holds_up_none(upstream: HostileUpstream, image: Manifest) -> None:
    """A referrer that the list names and nobody has is passed over."""
    lost = refers(upstream, image, SIGNATURE)
    found = refers(upstream, image, SBOM)
    fault = upstream.inject(
        Status(404), path=f"/v2/{REPOSITORY}/manifests/{lost.digest}", times=None
    )
    with told(upstream.url) as replica:
        copied(replica)
        assert fault.fired
        assert here(replica) == {image.digest, found.digest}


def test_a_kept_answer_goes_when_one_arrives(upstream: HostileUpstream, image: Manifest) -> None:
    """A list of referrers that clients are given is asked for again once one of them came."""
    path = f"/v2/{REPOSITORY}/referrers/{image.digest}"
    with told(upstream.url) as replica:
        copied(replica)
        client = replica.running.client
        pull(client, REPOSITORY, "v1").expect(200)
        assert client.get(path).expect(200).json()["manifests"] == []
        signature = refers(upstream, image, SIGNATURE)
        assert client.get(path).expect(200).json()["manifests"] == [], "it is kept"
        replica.tell(signature.digest, kind=TargetKind.MANIFEST)
        replica.wait_done(2)
        (listed,) = client.get(path).expect(200).json()["manifests"]
        assert listed["digest"] == signature.digest


def test_one_repository_without_an_api(upstream: HostileUpstream, image: Manifest) -> None:
    """Where the API is missing for one repository it is asked for the next one all the same."""
    signature = refers(upstream, image, SIGNATURE)
    other = upstream.contents.add("shop/old", oci_image("no API"), "v1")
    path = f"/v2/shop/old/referrers/{other.digest}"
    fault = upstream.inject(Page(404), path=path, times=None)
    with told(upstream.url) as replica:
        replica.tell("v1", "shop/old", trigger=Trigger.BACKFILL)
        replica.wait_done()
        assert fault.fired == 1
        replica.tell("v1", trigger=Trigger.BACKFILL)
        replica.wait_done(2)
        assert signature.digest in linked_manifests(replica.running.store, REPOSITORY)
