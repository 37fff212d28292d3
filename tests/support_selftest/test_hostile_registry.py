"""Without faults the upstream is a correct registry, and records what it saw."""

import ssl

import pytest

from tests.support import images
from tests.support.accounts import PULL, Accounts, Grant
from tests.support.hostile import (
    BasicLogin,
    Expect,
    TokenLogin,
    absolute,
    at_origin,
    hostile_upstream,
)
from tests.support.kinds import KINDS, ByContainerd
from tests.support.layers import blob, random_blob
from tests.support.pushing import assert_pullable, location, pull, push, push_blob, put_manifest
from tests.support.raw_http import Ending, exchange, raw_connection, request_bytes
from tests.support.registry_client import RegistryClient
from tests.support.skopeo import docker


@pytest.fixture
def client(upstream):
    return RegistryClient(upstream.url)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_it_takes_and_gives_every_kind_of_content(client, kind):
    content = kind.build("seed")
    push(client, "team/app", content, "v1")
    assert_pullable(client, "team/app", content, "v1")


def test_it_takes_content_named_by_sha512(client):
    content = images.oci_image(algorithm="sha512")
    push(client, "team/app", content)
    assert_pullable(client, "team/app", content)


def test_content_put_there_by_the_test_is_served(upstream, client):
    content = upstream.contents.add("team/app", images.nested_index(), "v1")
    assert_pullable(client, "team/app", content, "v1")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.by_skopeo], ids=str)
def test_real_clients_use_it(upstream, client, skopeo, node, kind):
    content = kind.build("seed")
    push(client, "team/app", content, "v1")
    name = f"{upstream.address}/team/copy:v1"
    source, target = (docker(upstream.address, f"team/{name}:v1") for name in ("app", "copy"))
    skopeo.copy(source, target).check()
    upstream.forget()
    if kind.by_containerd is ByContainerd.PULL:
        node.pull(name, plain_http=True).check()
    else:
        node.fetch(name, plain_http=True).check()
    assert upstream.count("GET", f"/v2/team/copy/manifests/{content.digest}") == 1


def test_ranges_are_answered(upstream, client):
    content = upstream.contents.add_blob("app", random_blob(1000))
    target = f"/v2/app/blobs/{content.digest}"
    table = {
        "bytes=0-0": (0, 1),
        "bytes=10-19": (10, 20),
        "bytes=990-": (990, 1000),
        "bytes=990-5000": (990, 1000),
        "bytes=-10": (990, 1000),
        "bytes=-5000": (0, 1000),
    }
    for asked, (start, end) in table.items():
        reply = client.get(target, {"Range": asked}).expect(206)
        assert reply.body == content.data[start:end]
        assert reply.header("Content-Range") == f"bytes {start}-{end - 1}/1000"
    assert client.get(target, {"Range": "bytes=1000-"}).status == 416
    assert client.get(target, {"Range": "bytes=0-1", "If-Range": '"other"'}).status == 200


def test_entity_tags_are_answered_unless_switched_off(upstream, client):
    content = upstream.contents.add("app", images.oci_image(), "v1")
    condition = {"If-None-Match": f'"{content.digest}"'}
    assert client.get("/v2/app/manifests/v1", condition).status == 304
    upstream.settings.has_etags = False
    reply = client.get("/v2/app/manifests/v1", condition).expect(200)
    assert reply.header("ETag") is None


def test_uploads_in_chunks_keep_their_order_and_state(client):
    data = bytes(range(256)) * 10
    first, second = data[:1000], data[1000:]
    started = client.request("POST", "/v2/app/blobs/uploads/").expect(202)
    wrong = client.request("PATCH", location(started), {"Content-Range": "5-1004"}, first)
    assert (wrong.status, wrong.header("Range")) == (416, "0-0")
    one = client.request("PATCH", location(started), {"Content-Range": "0-999"}, first).expect(202)
    assert one.header("Range") == "0-999"
    assert client.request("PATCH", location(started), body=second).status == 404  # an old state
    assert client.get(location(one)).status == 204
    content = blob(data)
    target = f"{location(one)}&digest={content.digest}"
    client.request("PUT", target, body=second).expect(201)
    assert client.get(f"/v2/app/blobs/{content.digest}").body == data


def test_uploads_end_with_a_wrong_digest_or_are_cancelled(client):
    started = client.request("POST", "/v2/app/blobs/uploads/")
    target = f"{location(started)}&digest={blob(b'other').digest}"
    assert client.request("PUT", target, body=b"data").error_codes == ["DIGEST_INVALID"]
    started = client.request("POST", "/v2/app/blobs/uploads/")
    assert client.delete(location(started)).status == 204
    assert client.get(location(started)).status == 404


def test_blobs_are_mounted_from_another_repository(client):
    content = random_blob(100)
    push_blob(client, "one", content)
    target = f"/v2/two/blobs/uploads/?mount={content.digest}&from="
    assert client.request("POST", target + "one").status == 201
    assert client.request("POST", target + "nowhere").status == 202


@pytest.mark.parametrize(
    ("style", "start"),
    [(absolute, "http://{host}/v2/"), (at_origin("https://evil.test"), "https://evil.test/v2/")],
    ids=["absolute", "foreign"],
)
def test_uploads_are_named_in_the_style_that_is_set(upstream, client, style, start):
    upstream.settings.upload_location = style
    named = client.request("POST", "/v2/app/blobs/uploads/").header("Location")
    assert named.startswith(start.format(host=upstream.address))


def test_tags_come_in_pages(upstream, client):
    for tag in ("a", "b", "c", "d"):
        upstream.contents.add("app", images.oci_image(), tag)
    first = client.get("/v2/app/tags/list?n=3")
    assert first.json() == {"name": "app", "tags": ["a", "b", "c"]}
    following = first.header("Link").removeprefix("<").partition(">")[0]
    assert client.get(following).json()["tags"] == ["d"]
    assert client.get("/v2/app/tags/list?n=0").json()["tags"] == []
    assert client.get("/v2/app/tags/list?n=x").status == 400


def test_referrers_are_filtered_and_come_in_pages(upstream, client):
    subject = upstream.contents.add("app", images.oci_image())
    for number in range(3):
        push(client, "app", images.oci_artifact(f"sbom {number}", subject=subject))
    push(client, "app", images.oci_artifact("scan", artifact_type="text/plain", subject=subject))
    target = f"/v2/app/referrers/{subject.digest}"
    assert len(client.get(target).json()["manifests"]) == 4
    scans = client.get(f"{target}?artifactType=text/plain")
    assert [each["artifactType"] for each in scans.json()["manifests"]] == ["text/plain"]
    assert scans.header("OCI-Filters-Applied") == "artifactType"
    upstream.settings.referrers_page = 3
    first = client.get(target)
    following = first.header("Link").removeprefix("<").partition(">")[0]
    assert len(client.get(following).json()["manifests"]) == 1
    upstream.settings.has_referrers = False
    assert client.get(target).status == 404


def test_a_manifest_with_a_subject_is_acknowledged(client):
    subject = images.oci_image()
    referrer = images.oci_artifact(subject=subject)
    for content in referrer.blobs:
        push_blob(client, "app", content)
    assert put_manifest(client, "app", referrer).header("OCI-Subject") == subject.digest


def test_deletes_work_unless_they_are_switched_off(upstream, client):
    content = upstream.contents.add("app", images.oci_image(), "v1")
    upstream.contents.add("app", images.oci_image(), "v2")
    layer = content.blobs[1]
    assert client.delete("/v2/app/manifests/v1").status == 202
    assert pull(client, "app", content.digest).status == 200
    assert client.delete(f"/v2/app/manifests/{content.digest}").status == 202
    assert pull(client, "app", "v2").status == 404
    assert client.delete(f"/v2/app/blobs/{layer.digest}").status == 202
    assert client.get(f"/v2/app/blobs/{layer.digest}").status == 404
    upstream.settings.allows_deletes = False
    assert client.delete("/v2/app/manifests/v2").status == 405


def test_basic_logins_have_rights_for_each_repository(upstream, accounts, alice, bob):
    upstream.settings.login = BasicLogin(accounts)
    content = upstream.contents.add_blob("alice/app", random_blob(10))
    upstream.contents.add_blob("public/app", content)
    target = f"/v2/alice/app/blobs/{content.digest}"
    assert RegistryClient(upstream.url, alice).get(target).status == 200
    assert RegistryClient(upstream.url, bob).get(target).error_codes == ["DENIED"]
    assert RegistryClient(upstream.url).get(target).status == 401
    assert RegistryClient(upstream.url).get(target.replace("alice", "public")).status == 200


def test_bearer_logins_go_by_the_token_server(upstream, tokens, alice, bob):
    upstream.settings.login = TokenLogin(tokens)
    push_blob(RegistryClient(upstream.url, alice), "alice/app", content := random_blob(10))
    target = f"/v2/alice/app/blobs/{content.digest}"
    assert RegistryClient(upstream.url, alice).get(target).status == 200
    refused = RegistryClient(upstream.url, bob).get(target)
    assert 'error="insufficient_scope"' in refused.header("WWW-Authenticate")


def test_a_mount_needs_the_right_to_pull_from_its_source(upstream, tokens, alice, admin):
    upstream.settings.login = TokenLogin(tokens)
    content = upstream.contents.add_blob("bob/app", random_blob(10))
    target = f"/v2/alice/app/blobs/uploads/?mount={content.digest}&from=bob/app"
    refused = RegistryClient(upstream.url, alice).request("POST", target).expect(401)
    scope = 'scope="repository:alice/app:pull,push repository:bob/app:pull"'
    assert scope in refused.header("WWW-Authenticate")
    RegistryClient(upstream.url, admin).request("POST", target).expect(201)


def test_an_unknown_caller_is_refused_before_the_body_is_read(upstream):
    upstream.settings.login = BasicLogin(Accounts((Grant("public/*", PULL),)))
    fields = (("Content-Length", "1000000"), ("Expect", "100-continue"))
    data = request_bytes("POST", "/v2/public/app/blobs/uploads/", upstream.address, *fields)
    reply = exchange(upstream.address, data, method="POST")
    assert (reply.status, reply.interim) == (401, ())
    assert upstream.seen[0].body_bytes == 0


@pytest.mark.parametrize(
    ("expect", "interim"), [(Expect.CONTINUE, (100,)), (Expect.SILENT, ())], ids=["100", "silent"]
)
def test_expectations_are_met_or_not(upstream, expect, interim):
    upstream.settings.expect = expect
    fields = (("Content-Length", "4"), ("Expect", "100-continue"))
    target = f"/v2/app/blobs/uploads/?digest={blob(b'body').digest}"
    data = request_bytes("POST", target, upstream.address, *fields, body=b"body")
    reply = exchange(upstream.address, data, method="POST")
    assert (reply.status, reply.interim) == (201, interim)


def test_every_request_is_recorded(upstream, client):
    content = upstream.contents.add_blob("app", random_blob(1000))
    client.get(f"/v2/app/blobs/{content.digest}?ns=x", {"Range": "bytes=0-99", "X-Odd": "1"})
    (seen,) = upstream.requests("GET", r"/v2/app/blobs/.*")
    assert seen.target == f"/v2/app/blobs/{content.digest}?ns=x"
    assert (seen.status, seen.sent_bytes, seen.is_complete) == (206, 100, True)
    assert seen.fields.get("x-odd") == "1"
    assert upstream.sent_bytes() == 100
    upstream.forget()
    assert upstream.count() == 0


@pytest.mark.parametrize(
    "data",
    [
        b"GET /v2/ HTTP/1.1\r\n\r\n",
        b"GET /v2/ HTTP/1.0\r\nHost: a\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"POST /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"POST /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        b"POST /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_and_recorded(upstream, data):
    assert exchange(upstream.address, data).status == 400
    assert len(upstream.malformed) == 1


def test_an_outage_is_made_and_ended(upstream, client):
    with raw_connection(upstream.address) as idle:
        idle.send(request_bytes("GET", "/v2/", upstream.address))
        assert idle.read_reply().status == 200
        upstream.cut()
        assert idle.wait_for_end() is Ending.RESET
    with pytest.raises(ConnectionRefusedError):
        client.get("/v2/")
    upstream.restore()
    assert client.get("/v2/").status == 200


def test_it_speaks_tls_to_those_who_trust_it(authority):
    with hostile_upstream(tls=authority.server_context("127.0.0.1")) as upstream:
        assert RegistryClient(upstream.url, ca_file=authority.ca_file).get("/v2/").status == 200
        with pytest.raises(ssl.SSLError):
            RegistryClient(upstream.url).get("/v2/")


def test_an_upstream_at_an_ipv6_address():
    with hostile_upstream(host="::1") as upstream:
        assert RegistryClient(upstream.url).get("/v2/").status == 200
