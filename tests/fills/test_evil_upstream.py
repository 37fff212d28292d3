"""A lying upstream: nothing wrong is ever complete at a client, or visible in the store.

Each lie is told about a small blob, a large one, a manifest by digest and one by tag. What a client
could use all the same has to arrive; all else ends in 502 or in a connection that breaks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from proxy.registry import negatives
from tests.fills.calls import blob_path, manifest_path
from tests.fills.in_process import InProcess, in_process
from tests.support.hostile import (
    Cut,
    Framed,
    Gzipped,
    Header,
    HostileUpstream,
    MoreHeaders,
    NoLength,
    OtherBody,
    Raw,
    Resized,
    StoredManifest,
    UnaskedRange,
    WrongByte,
    WrongLength,
    hostile_upstream,
)
from tests.support.hostile.faults import AnswerFault
from tests.support.images import OCI_INDEX, OCI_MANIFEST, manifest_of, oci_image
from tests.support.layers import digest_of, random_blob
from tests.support.raw_http import RawReply, exchange, request_bytes
from tests.support.store_tree import tags, visible_blobs, wrong_blobs
from tests.support.waiting import wait_until

SMALL_BYTES = 3_000
LARGE_BYTES = 400_000
OTHER_DIGEST = digest_of(b"something else")

BLOBS = frozenset({"small", "large"})
MANIFESTS = frozenset({"by-digest", "by-tag"})
ALL = BLOBS | MANIFESTS
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lie:
    """A fault of every GET, and for which targets a client can use the answer all the same."""

    name: str
    fault: AnswerFault
    harmless: frozenset[str] = NONE
    methods: tuple[str, ...] = ("GET",)


def raw(head: str, body: bytes = b"{}") -> Raw:
    return Raw(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)


LIES = (
    Lie("first-byte", WrongByte(0)),
    Lie("middle-byte", WrongByte(SMALL_BYTES // 2)),
    Lie("last-byte", WrongByte(-1)),
    Lie("longer", Resized(+10)),
    Lie("shorter", Resized(-10)),
    Lie("empty", OtherBody(b"")),
    Lie("declared-longer", WrongLength(+10)),
    Lie("declared-shorter", WrongLength(-10)),
    Lie("never-whole", Cut(100)),
    Lie("head-longer", Resized(+10), ALL, ("HEAD",)),
    Lie("head-shorter", Resized(-10), ALL, ("HEAD",)),
    Lie("other-digest", Header("Docker-Content-Digest", OTHER_DIGEST), BLOBS | {"by-digest"}),
    Lie("no-digest", Header("Docker-Content-Digest", None), ALL),
    Lie("two-digests", MoreHeaders((("Docker-Content-Digest", OTHER_DIGEST),))),
    Lie("other-type", Header("Content-Type", OCI_INDEX), BLOBS),
    Lie("html-type", Header("Content-Type", "text/html")),
    Lie("no-type", Header("Content-Type", None), ALL),
    Lie("two-types", MoreHeaders((("Content-Type", OCI_MANIFEST),))),
    Lie("gzip", Gzipped()),
    Lie("chunked", NoLength(), ALL),
    Lie("until-close", NoLength(Framed.BY_CLOSE), ALL),
    Lie("part-unasked", UnaskedRange(100)),
    Lie("no-http", Raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
    Lie("two-lengths", raw("HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3")),
    Lie(
        "length-and-chunked", raw("HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked")
    ),
)


@dataclass(frozen=True, slots=True)
class Target:
    """What is pulled, and what is right."""

    path: str
    digest: str
    data: bytes
    media_type: str


@pytest.fixture(scope="module")
def upstream() -> Iterator[HostileUpstream]:
    with hostile_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def replica(upstream: HostileUpstream) -> Iterator[InProcess]:
    with in_process(upstream.url) as replica:
        yield replica


@pytest.fixture(autouse=True)
def healed(upstream: HostileUpstream) -> Iterator[None]:
    yield
    upstream.heal()


def put(upstream: HostileUpstream, repository: str, kind: str) -> Target:
    """Put content of a kind into a repository of its own."""
    if kind in BLOBS:
        size = SMALL_BYTES if kind == "small" else LARGE_BYTES
        content = upstream.contents.add_blob(repository, random_blob(size, repository))
        path = blob_path(repository, content.digest)
        return Target(path, content.digest, content.data, "application/octet-stream")
    note = {"note": repository * (SMALL_BYTES // len(repository))}
    image = upstream.contents.add(repository, oci_image(repository, annotations=note), "v1")
    path = manifest_path(repository, "v1" if kind == "by-tag" else image.digest)
    return Target(path, image.digest, image.data, image.media_type)


def pull(replica: InProcess, target: Target) -> RawReply:
    data = request_bytes("GET", target.path, replica.address, ("Connection", "close"))
    return exchange(replica.address, data)


def is_right(reply: RawReply, target: Target) -> bool:
    """Tell right from broken off. Raises: AssertionError for what is complete and wrong."""
    if reply.status != 200 or not reply.is_complete:
        assert not reply.is_complete or reply.status in (502, 503)
        return False
    assert reply.body == target.data
    assert reply.header("Content-Type") == target.media_type
    assert reply.header("Docker-Content-Digest") == target.digest
    return True


@pytest.mark.parametrize("kind", sorted(ALL))
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name)
def test_no_lie_is_ever_complete(
    upstream: HostileUpstream, replica: InProcess, lie: Lie, kind: str
) -> None:
    """C1: whatever the upstream says, complete answers are right, and so is what is kept."""
    repository = f"{lie.name}/{kind}"
    target = put(upstream, repository, kind)
    faults = [
        upstream.inject(lie.fault, method=method, path=target.path, times=None)
        for method in lie.methods
    ]
    replies = [pull(replica, target) for _ in range(3)]
    assert all(fault.fired for fault in faults)
    assert [is_right(reply, target) for reply in replies] == [kind in lie.harmless] * 3
    replica.wait_idle()
    assert wrong_blobs(replica.store) == set()
    assert (target.digest in visible_blobs(replica.store)) is (kind in lie.harmless)
    assert tags(replica.store, repository) == (
        {"v1": target.digest} if (kind, kind in lie.harmless) == ("by-tag", True) else {}
    )


@pytest.mark.parametrize("kind", ["small", "large", "by-digest"])
def test_wrong_content_is_tried_twice_from_scratch(
    upstream: HostileUpstream, replica: InProcess, kind: str
) -> None:
    """F8: wrong content is fetched once more, whole; then it is 502 without a request."""
    target = put(upstream, f"twice/{kind}", kind)
    upstream.inject(WrongByte(-1), method="GET", path=target.path, times=None)
    for attempt in (1, 2):
        assert not is_right(pull(replica, target), target)
        replica.wait_idle()
        assert upstream.count("GET", target.path) == attempt
        assert not upstream.requests("GET", target.path)[-1].fields.get("Range")
    assert pull(replica, target).status == 502
    assert upstream.count("GET", target.path) == 2
    assert negatives.MISMATCH_SECONDS <= 30


@pytest.mark.parametrize("kind", ["small", "large", "by-digest", "by-tag"])
def test_one_lie_is_forgiven(upstream: HostileUpstream, replica: InProcess, kind: str) -> None:
    """F8: content that came wrong once is right at the second try."""
    target = put(upstream, f"once/{kind}", kind)
    fault = upstream.inject(WrongByte(0), method="GET", path=target.path)
    assert not is_right(pull(replica, target), target)
    assert fault.fired == 1
    assert is_right(pull(replica, target), target)


@pytest.mark.parametrize("kind", ["small", "by-digest"])
def test_502_for_wrong_content_ends(
    upstream: HostileUpstream,
    replica: InProcess,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F8: the 502 for wrong content ends by itself, and the content can be had again."""
    monkeypatch.setattr(negatives, "MISMATCH_SECONDS", 0.3)
    target = put(upstream, f"ends/{kind}", kind)
    fault = upstream.inject(WrongByte(0), method="GET", path=target.path, times=2)
    for _ in range(2):
        assert not is_right(pull(replica, target), target)
        replica.wait_idle()
    assert fault.fired == 2
    wait_until(lambda: is_right(pull(replica, target), target), what="right again")


AMBIGUOUS = {
    "index-and-image": {"schemaVersion": 2, "manifests": [], "layers": [], "config": {}},
    "index-typed-image": {"schemaVersion": 2, "mediaType": OCI_INDEX, "layers": [], "config": {}},
    "image-typed-index": {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "manifests": []},
    "neither": {"schemaVersion": 2},
    "foreign-type": {"schemaVersion": 2, "mediaType": "text/html", "config": {}, "layers": []},
}


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX])
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_manifests_are_refused(
    upstream: HostileUpstream, replica: InProcess, name: str, media_type: str
) -> None:
    """C19: a manifest that can be read in two ways is 502 by tag and by digest, and not kept."""
    repository = f"ambiguous/{name}"
    document = AMBIGUOUS[name] | {"annotations": {"typed": media_type}}
    manifest = manifest_of(document, media_type)
    stored = StoredManifest(manifest.digest, media_type, manifest.data)
    upstream.contents.repository(repository).put(stored, "v1")
    for reference in ("v1", manifest.digest):
        replica.client.get(manifest_path(repository, reference)).expect(502)
    assert manifest.digest not in visible_blobs(replica.store)


def test_manifests_of_more_than_4_mib_are_refused(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """C19: a manifest larger than 4 MiB is 502, whether its length is declared or not."""
    image = oci_image("huge", annotations={"padding": "x" * (4 << 20)})
    upstream.contents.add("huge", image, "v1")
    replica.client.get(manifest_path("huge", "v1")).expect(502)
    fault = upstream.inject(NoLength(), times=None)
    replica.client.get(manifest_path("huge", image.digest)).expect(502)
    assert fault.fired
    assert image.digest not in visible_blobs(replica.store)
