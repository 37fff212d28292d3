"""Pushing content to a registry and reading it back, as a client does it."""

from urllib.parse import urlsplit

from tests.support.images import MANIFEST_TYPES, Manifest
from tests.support.layers import Blob, digest_of
from tests.support.registry_client import RegistryClient, Reply

ACCEPT_ALL = {"Accept": ", ".join(MANIFEST_TYPES)}


def push(
    client: RegistryClient, repository: str, manifest: Manifest, tag: str | None = None
) -> None:
    """Push *manifest* with all below it; children its document names but lacks are taken away."""
    for absent in manifest.absent:
        push(client, repository, absent)
    for child in manifest.children:
        push(client, repository, child)
    for content in manifest.blobs:
        push_blob(client, repository, content)
    put_manifest(client, repository, manifest, tag).expect(201)
    for absent in manifest.absent:
        client.delete(f"/v2/{repository}/manifests/{absent.digest}").expect(202)


def push_blob(client: RegistryClient, repository: str, content: Blob) -> None:
    """Push a blob with POST and PUT, unless the repository has it."""
    if client.head(f"/v2/{repository}/blobs/{content.digest}").status == 200:
        return
    started = client.request("POST", f"/v2/{repository}/blobs/uploads/").expect(202)
    target = with_query(location(started), f"digest={content.digest}")
    headers = {"Content-Type": "application/octet-stream"}
    client.request("PUT", target, headers, content.data).expect(201)


def put_manifest(
    client: RegistryClient, repository: str, manifest: Manifest, tag: str | None = None
) -> Reply:
    """Put the bytes of one manifest under a tag, or under its digest."""
    target = f"/v2/{repository}/manifests/{tag or manifest.digest}"
    return client.request("PUT", target, {"Content-Type": manifest.media_type}, manifest.data)


def pull(client: RegistryClient, repository: str, reference: str) -> Reply:
    """Get one manifest by tag or digest, whatever its type."""
    return client.get(f"/v2/{repository}/manifests/{reference}", ACCEPT_ALL)


def assert_pullable(
    client: RegistryClient, repository: str, manifest: Manifest, tag: str | None = None
) -> None:
    """Pull *manifest* and all below it and compare every byte, type and digest."""
    if tag is not None:
        _assert_manifest(pull(client, repository, tag), manifest)
    for each in manifest.all_manifests():
        _assert_manifest(pull(client, repository, each.digest), each)
    for content in manifest.all_blobs():
        reply = client.get(f"/v2/{repository}/blobs/{content.digest}").expect(200)
        assert digest_of(reply.body, content.digest.partition(":")[0]) == content.digest
        assert reply.header("Content-Length") == str(len(content.data))


def location(reply: Reply) -> str:
    """Give path and query of a reply's ``Location``."""
    value = reply.header("Location")
    assert value is not None, "no Location"
    parts = urlsplit(value)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def with_query(target: str, pair: str) -> str:
    """Give *target* with one more query parameter."""
    return f"{target}{'&' if '?' in target else '?'}{pair}"


def _assert_manifest(reply: Reply, manifest: Manifest) -> None:
    reply.expect(200)
    assert reply.body == manifest.data
    assert reply.header("Content-Type") == manifest.media_type
    assert reply.header("Docker-Content-Digest") == manifest.digest
    assert reply.header("Content-Length") == str(len(manifest.data))
