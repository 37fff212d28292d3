"""Redirects: to trusted storage, without credentials; anywhere else not a single connection."""

import pytest

from tests.conftest import Opened
from tests.fills.calls import blob_path, causes, get, head, manifest_path
from tests.fills.in_process import InProcess, in_process
from tests.support.accounts import Accounts, Grant
from tests.support.certificates import Authority
from tests.support.hostile import (
    BLOBS,
    BasicLogin,
    Cut,
    HostileUpstream,
    MoreHeaders,
    Redirect,
    Settings,
    Status,
    WrongByte,
    hostile_upstream,
)
from tests.support.images import oci_image
from tests.support.layers import Blob, random_blob
from tests.support.raw_http import exchange, request_bytes
from tests.support.registry_client import RegistryClient
from tests.support.trap import Trap, trap

SIZE = 300_000
OBJECT = "/bucket/object"
SIGNED = f"{OBJECT}?sig=a%2Fb%3D&x=%7e+1"


@pytest.fixture
def content(upstream: HostileUpstream) -> Blob:
    return upstream.contents.add_blob("app", random_blob(SIZE, "redirected"))


@pytest.fixture
def path(content: Blob) -> str:
    return blob_path("app", content.digest)


@pytest.fixture
def storage(opened: Opened, content: Blob) -> HostileUpstream:
    """A storage back end that has the blob as an object."""
    storage = opened(hostile_upstream())
    storage.contents.objects[OBJECT] = content.data
    return storage


@pytest.fixture
def replica(opened: Opened, upstream: HostileUpstream, storage: HostileUpstream) -> InProcess:
    return opened(in_process(upstream.url, primary={"storage_origins": (storage.url,)}))


@pytest.fixture
def stranger(opened: Opened) -> Trap:
    """An origin that no setting names."""
    return opened(trap(host="127.0.0.2"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_trusted_storage_sees_no_credentials(
    opened: Opened, upstream: HostileUpstream, storage: HostileUpstream, path: str, status: int
) -> None:
    """C13: storage gets the target as the primary wrote it, and neither login nor cookie."""
    accounts = Accounts()
    user = accounts.add("admin", "secret", Grant("*"))
    upstream.settings = Settings(login=BasicLogin(accounts))
    replica = opened(in_process(upstream.url, primary={"storage_origins": (storage.url,)}))
    redirect = upstream.inject(Redirect(storage.url + SIGNED, status), method="GET", path=BLOBS)
    cookie = MoreHeaders((("Set-Cookie", "session=1; Path=/"),))
    upstream.inject(cookie, method="GET", path=BLOBS)
    client = RegistryClient(replica.url, user)
    with causes(storage, get(SIGNED)):
        body = client.get(path).expect(200).body
    assert redirect.fired == 1
    assert body == storage.contents.objects[OBJECT]
    names = {name.lower() for name, _ in storage.seen[0].fields.pairs}
    assert names <= {"host", "accept", "accept-encoding", "user-agent"}
    replica.wait_idle()
    client.get(blob_path("app", random_blob(1).digest)).expect(404)
    assert all("Cookie" not in each.fields for each in (*storage.seen, *upstream.seen))


def test_a_break_at_the_storage_goes_through_the_primary(
    upstream: HostileUpstream,
    storage: HostileUpstream,
    replica: InProcess,
    content: Blob,
    path: str,
) -> None:
    """F7: a redirected fill that breaks asks the primary for the rest: signatures expire."""
    upstream.inject(Redirect(storage.url + OBJECT), method="GET", path=BLOBS, times=None)
    cut = storage.inject(Cut(SIZE // 2))
    rest = f"bytes={SIZE // 2}-"
    with (
        causes(upstream, head(path), get(path, 307), get(path, 307, rest)),
        causes(storage, get(OBJECT), get(OBJECT, 206, rest)),
    ):
        assert replica.client.get(path).expect(200).body == content.data
    assert cut.fired == 1


def test_a_manifest_is_redirected(
    upstream: HostileUpstream, storage: HostileUpstream, replica: InProcess
) -> None:
    """A manifest may be redirected as well; the proof of the right is the primary's own answer."""
    image = upstream.contents.add("app", oci_image("stored elsewhere"))
    storage.contents.add("app", image)
    path = manifest_path("app", image.digest)
    upstream.inject(Redirect(storage.url + path), path=path, times=None)
    with causes(upstream, head(path, 307), get(path, 307)), causes(storage, get(path)):
        assert replica.client.get(path).expect(200).body == image.data


def test_a_head_is_redirected(
    upstream: HostileUpstream, storage: HostileUpstream, replica: InProcess, path: str
) -> None:
    """A HEAD of a blob that isn't here is answered as storage answers it, without a download."""
    upstream.inject(Redirect(storage.url + OBJECT), path=path, times=None)
    with causes(storage, head(OBJECT)):
        reply = replica.client.head(path).expect(200)
    assert reply.header("Content-Length") == str(SIZE)
    assert upstream.count("GET", path) == 0


@pytest.mark.parametrize("origin", ["", "http://{primary}", "HTTP://{primary}", "//{primary}"])
def test_a_redirect_to_the_primary_itself(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str, origin: str
) -> None:
    """A redirect within the primary's own origin is followed over the private link."""
    upstream.contents.objects[OBJECT] = content.data
    location = origin.format(primary=upstream.address) + SIGNED
    upstream.inject(Redirect(location), method="GET", path=path)
    with causes(upstream, head(path), get(path, 307), get(SIGNED)):
        assert replica.client.get(path).expect(200).body == content.data


@pytest.mark.parametrize(("length", "status"), [(3, 200), (4, 502)])
def test_chains_are_bounded(
    upstream: HostileUpstream,
    storage: HostileUpstream,
    replica: InProcess,
    path: str,
    length: int,
    status: int,
) -> None:
    """Three redirects in a row are followed, not four."""
    upstream.inject(Redirect(f"{storage.url}/hop/1"), method="GET", path=BLOBS)
    for number in range(1, length):
        target = OBJECT if number == length - 1 else f"/hop/{number + 1}"
        storage.inject(Redirect(target), path=f"/hop/{number}")
    replica.client.get(path).expect(status)
    assert all(fault.fired for fault in storage.book.faults)


ELSEWHERE = {
    "absolute": "http://{stranger}/object",
    "without-scheme": "//{stranger}/object",
    "other-port": "http://127.0.0.1:{port}/object",
    "https": "https://{storage}/object",
    "with-user": "http://{storage}@{stranger}/object",
    "backslashes": "\\\\{stranger}/object",
    "spaces": "http://{storage}/object and more",
    "no-url": "http://[",
    "bad-port": "http://127.0.0.1:99999/",
    "another-scheme": "ftp://{storage}/object",
    "nothing": "",
}
NO_URLS = ("backslashes", "spaces", "no-url", "nothing")


@pytest.mark.parametrize("name", ELSEWHERE)
def test_anywhere_else_is_refused(
    upstream: HostileUpstream,
    storage: HostileUpstream,
    replica: InProcess,
    stranger: Trap,
    path: str,
    name: str,
) -> None:
    """C13: a redirect to any other origin is 502, and nobody there sees a connection."""
    location = ELSEWHERE[name].format(
        stranger=stranger.address, port=stranger.listener.port, storage=storage.address
    )
    redirect = upstream.inject(Redirect(location), method="GET", path=BLOBS)
    reply = replica.client.get(path).expect(502)
    assert redirect.fired == 1
    assert stranger.connections == 0
    assert storage.seen == []
    assert (b"primary.storage_origins" in reply.body) is (name not in NO_URLS)


def test_storage_may_not_lead_elsewhere(
    upstream: HostileUpstream,
    storage: HostileUpstream,
    replica: InProcess,
    stranger: Trap,
    path: str,
) -> None:
    """C13: what trusted storage redirects to has to be trusted as well."""
    upstream.inject(Redirect(storage.url + OBJECT), method="GET", path=BLOBS)
    onwards = storage.inject(Redirect(stranger.url + OBJECT))
    replica.client.get(path).expect(502)
    assert onwards.fired == 1
    assert stranger.connections == 0


def test_no_way_from_https_to_http(opened: Opened, authority: Authority, content: Blob) -> None:
    """C13: storage trusted under https isn't asked under http."""
    upstream = opened(hostile_upstream(tls=authority.server_context("127.0.0.1")))
    upstream.contents.add_blob("app", content)
    storage = opened(trap(host="127.0.0.2"))
    link = {"ca_file": authority.ca_file, "storage_origins": (f"https://{storage.address}",)}
    replica = opened(in_process(upstream.url, primary=link))
    redirect = upstream.inject(Redirect(storage.url + OBJECT), method="GET", path=BLOBS)
    replica.client.get(blob_path("app", content.digest)).expect(502)
    assert redirect.fired == 1
    assert storage.connections == 0


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_storage_that_refuses_ends_no_right(
    upstream: HostileUpstream, storage: HostileUpstream, replica: InProcess, path: str, status: int
) -> None:
    """Settled 7: what storage refuses is 503, and the caller's right stays as it was."""
    upstream.inject(Redirect(storage.url + OBJECT), method="GET", path=BLOBS)
    refusal = storage.inject(Status(status))
    with causes(upstream, head(path), get(path, 307), get(path)):
        replica.client.get(path).expect(503)
        replica.client.get(path).expect(200)
    assert refusal.fired == 1


def test_storage_that_lies(
    upstream: HostileUpstream, storage: HostileUpstream, replica: InProcess, path: str
) -> None:
    """C1: wrong bytes from storage are never complete."""
    upstream.inject(Redirect(storage.url + OBJECT), method="GET", path=BLOBS)
    lie = storage.inject(WrongByte(0))
    reply = exchange(replica.address, request_bytes("GET", path, replica.address))
    assert lie.fired == 1
    assert not reply.is_complete
