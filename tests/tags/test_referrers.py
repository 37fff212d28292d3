"""Referrers: the primary's answers, kept byte for byte for each subject and query."""

import asyncio

import pytest

from tests.fills.calls import causes, get
from tests.fills.crowd import pull
from tests.fills.in_process import InProcess
from tests.support.hostile import REFERRERS, Hold, HostileUpstream, Settings, Status
from tests.support.images import OCI_INDEX, Manifest, oci_artifact
from tests.support.layers import digest_of
from tests.support.pushing import put_manifest
from tests.support.waiting import eventually
from tests.tags.scene import OLD, TTL_SECONDS, by_digest, is_stale

SUBJECT = f"/v2/app/referrers/{OLD.digest}"
SBOM = "application/vnd.example.sbom.v1+json"
SIGNATURE = "application/vnd.example.signature.v1+json"
OF_SBOMS = f"{SUBJECT}?artifactType={SBOM.replace('+', '%2B')}"


@pytest.fixture(autouse=True)
def subject(upstream: HostileUpstream) -> None:
    """The old image with an SBOM and a signature."""
    upstream.settings.checks_blobs = False
    upstream.contents.add("app", OLD)
    for artifact_type in (SBOM, SIGNATURE):
        upstream.contents.add("app", referrer(artifact_type))


def referrer(artifact_type: str, seed: str = "artifact") -> Manifest:
    return oci_artifact(seed, artifact_type=artifact_type, subject=OLD)


def digests(replica: InProcess, target: str = SUBJECT) -> list[str]:
    manifests = replica.client.get(target).expect(200).json()["manifests"]
    return [each["digest"] for each in manifests]


def test_an_answer_is_kept_for_the_ttl(upstream: HostileUpstream, replica: InProcess) -> None:
    """An answer is given byte for byte, and asked for again only after `tags.ttl`."""
    direct = upstream.contents.repository("app").referrers(OLD.digest)
    with causes(upstream, get(SUBJECT)):
        first = replica.client.get(SUBJECT).expect(200)
        second = replica.client.get(SUBJECT).expect(200)
    assert first.json()["manifests"] == direct
    assert second.body == first.body
    assert second.header("Content-Type") == OCI_INDEX
    replica.clock.advance(TTL_SECONDS)
    with causes(upstream, get(SUBJECT)):
        replica.client.get(SUBJECT).expect(200)


def test_each_query_is_its_own(upstream: HostileUpstream, replica: InProcess) -> None:
    """An answer is kept for the very query, with the header that says it was filtered."""
    with causes(upstream, get(SUBJECT), get(OF_SBOMS)):
        for _ in range(2):
            everything = replica.client.get(SUBJECT).expect(200)
            filtered = replica.client.get(OF_SBOMS).expect(200)
            assert everything.header("OCI-Filters-Applied") is None
            assert filtered.header("OCI-Filters-Applied") == "artifactType"
            assert len(everything.json()["manifests"]) == 2
            assert [each["artifactType"] for each in filtered.json()["manifests"]] == [SBOM]


def test_pages_are_kept(upstream: HostileUpstream, replica: InProcess) -> None:
    """Pages lead to us, and each is kept."""
    upstream.settings = Settings(referrers_page=1, checks_blobs=False)
    next_page = f"{SUBJECT}?start=1"
    with causes(upstream, get(SUBJECT), get(next_page)):
        for _ in range(2):
            first = replica.client.get(SUBJECT).expect(200)
            assert first.header("Link") == f'<{next_page}>; rel="next"'
            assert replica.client.get(next_page).expect(200).header("Link") is None


def test_a_primary_without_referrers(upstream: HostileUpstream, replica: InProcess) -> None:
    """Where the primary has no referrers its 404 passes, each time: clients then use the tag."""
    upstream.settings = Settings(has_referrers=False)
    with causes(upstream, get(SUBJECT, 404), get(SUBJECT, 404)):
        for _ in range(2):
            assert b"manifests" not in replica.client.get(SUBJECT).expect(404).body


def test_a_subject_nobody_refers_to(upstream: HostileUpstream, replica: InProcess) -> None:
    """An empty list is an answer like any other, for a subject that isn't there too."""
    nobody = f"/v2/app/referrers/{digest_of(b'nobody')}"
    with causes(upstream, get(nobody)):
        for _ in range(2):
            assert digests(replica, nobody) == []


@pytest.mark.parametrize("fault", [Status(500), Status(429), None], ids=["500", "429", "refused"])
def test_an_outage_shows_the_last_answer(
    upstream: HostileUpstream, replica: InProcess, fault: Status | None
) -> None:
    """In an outage the last answer for the same query is given, marked stale; any other is 503."""
    first = replica.client.get(SUBJECT).expect(200)
    replica.clock.advance(TTL_SECONDS)
    if fault is None:
        upstream.cut()
    else:
        upstream.inject(fault, path=REFERRERS, times=None)
    reply = replica.client.get(SUBJECT).expect(200)
    assert is_stale(reply)
    assert int(reply.header("Age") or 0) >= TTL_SECONDS
    assert reply.body == first.body
    assert replica.client.get(OF_SBOMS).status in (503, 429)


@pytest.mark.parametrize("status", [401, 403, 451])
def test_a_refusal_is_the_answer(
    upstream: HostileUpstream, replica: InProcess, status: int
) -> None:
    """C16: what the registry refuses is refused, whatever is kept."""
    replica.client.get(SUBJECT).expect(200)
    replica.clock.advance(TTL_SECONDS)
    refusal = upstream.inject(Status(status), path=REFERRERS)
    replica.client.get(SUBJECT).expect(status)
    assert refusal.fired == 1


@pytest.mark.parametrize("target", [SUBJECT, OF_SBOMS])
def test_a_push_with_that_subject_is_seen_at_once(
    upstream: HostileUpstream, replica: InProcess, target: str
) -> None:
    """A manifest pushed through us is among its subject's referrers from the answer on."""
    before = digests(replica, target)
    pushed = referrer(SBOM, "another")
    reply = put_manifest(replica.client, "app", pushed).expect(201)
    assert reply.header("OCI-Subject") == OLD.digest
    with causes(upstream, get(target)):
        assert sorted(digests(replica, target)) == sorted([*before, pushed.digest])


def test_a_deletion_is_seen_at_once(upstream: HostileUpstream, replica: InProcess) -> None:
    """A referrer deleted through us is among them no more."""
    gone = referrer(SBOM)
    assert gone.digest in digests(replica)
    replica.client.delete(by_digest(gone)).expect(202)
    assert gone.digest not in digests(replica)


async def test_a_slow_answer_after_a_push(upstream: HostileUpstream, replica: InProcess) -> None:
    """What the primary listed before a push through us isn't kept for those who ask after it."""
    hold = upstream.inject(Hold(), path=REFERRERS)
    slow = asyncio.create_task(pull(replica.address, SUBJECT))
    await eventually(lambda: hold.fired)
    pushed = referrer(SBOM, "another")
    (await asyncio.to_thread(put_manifest, replica.client, "app", pushed)).expect(201)
    hold.release()
    assert (await slow).status == 200
    assert pushed.digest in await asyncio.to_thread(digests, replica)
