"""Where an upload goes on: always at us, as the primary named it, or nowhere."""

import pytest

from proxy.oci.errors import UntrustedOrigin
from proxy.web.location import Locations
from tests.conftest import Opened
from tests.fills.in_process import in_process
from tests.push.uploads import START, finish, patch
from tests.support.hostile import (
    UPLOADS,
    Header,
    HostileUpstream,
    Settings,
    absolute,
    at_origin,
    relative,
)
from tests.support.hostile.settings import LocationStyle
from tests.support.layers import random_blob
from tests.support.trap import Trap, trap

SESSION = "/v2/app/blobs/uploads/0123-abc"
STATE = "?_state=a%2Bb%3d%3D&x=1+2&y=%7E"
OURS = frozenset({"registry.example.com", "10.0.12.5:443", "replica:5001"})

ACCEPTED = {
    SESSION + STATE: SESSION + STATE,
    f"https://registry.example.com{SESSION}{STATE}": SESSION + STATE,
    f"http://registry.example.com{SESSION}{STATE}": SESSION + STATE,
    f"https://10.0.12.5:443{SESSION}": SESSION,
    f"http://replica:5001{SESSION}{STATE}": SESSION + STATE,
    f"//registry.example.com{SESSION}": SESSION,
    f"{SESSION}?": SESSION,
    f"{SESSION}?digest=sha256:a#part": f"{SESSION}?digest=sha256:a",
    "0123-abc?x=%2f": "/v2/app/blobs/uploads/0123-abc?x=%2f",
    "?_state=%20": "/v2/app/blobs/uploads/?_state=%20",
    f"{SESSION}?next=http://evil.example/": f"{SESSION}?next=http://evil.example/",
    "/uploads/0123?x=1": "/uploads/0123?x=1",
}
REFUSED = [
    f"https://evil.example{SESSION}",
    f"https://registry.example.com.evil.example{SESSION}",
    f"https://registry.example.com:8443{SESSION}",
    f"https://registry.example.com@evil.example{SESSION}",
    f"https://user@registry.example.com{SESSION}",
    f"//evil.example{SESSION}",
    f"///evil.example{SESSION}",
    f"/\\evil.example{SESSION}",
    f"\\\\evil.example{SESSION}",
    f"ftp://registry.example.com{SESSION}",
    "javascript:alert(1)",
    "/elsewhere/0123",
    "/uploadsmore/0123",
    "/v2/../elsewhere",
    "/v2/app/../../elsewhere",
    "/v2//evil.example/",
    "../../../../../elsewhere",
    "http://[",
    "http://registry.example.com:99999/v2/app/blobs/uploads/1",
    "https:///v2/app/blobs/uploads/1",
]


def locations() -> Locations:
    return Locations(OURS.__contains__, ("/uploads/",))


@pytest.mark.parametrize("location", ACCEPTED)
def test_accepted(location: str) -> None:
    """Settled 28: one of the primary's names or ours, whatever the scheme, becomes a path with the
    query byte for byte.
    """
    assert locations().ours(START, location) == ACCEPTED[location]


@pytest.mark.parametrize("location", REFUSED)
def test_refused(location: str) -> None:
    """C13, C27: any other host, and any path that isn't a registry's, is refused."""
    with pytest.raises(UntrustedOrigin):
        locations().ours(START, location)


@pytest.mark.parametrize(
    "style",
    [relative, absolute, at_origin("https://127.0.0.1"), at_origin("http://localhost")],
    ids=["relative", "absolute", "other-scheme", "our-name"],
)
def test_an_upload_goes_on_at_us(
    opened: Opened, upstream: HostileUpstream, style: LocationStyle
) -> None:
    """Settled 28: however the primary names a session, every step of it comes through us, and its
    state comes back to it unchanged.
    """
    upstream.settings = Settings(upload_location=style)
    replica = opened(in_process(upstream.url))
    content, client = random_blob(1000), replica.client
    reply = client.request("POST", START).expect(202)
    for start in (0, 500):
        target = reply.header("Location") or ""
        assert target.startswith("/v2/app/blobs/uploads/")
        reply = patch(client, target, content.data[start : start + 500], start).expect(202)
    finish(client, reply.header("Location") or "", content).expect(201)
    assert upstream.contents.repository("app").blobs[content.digest] == content.data


@pytest.fixture
def stranger(opened: Opened) -> Trap:
    return opened(trap(host="127.0.0.2"))


def test_a_foreign_location_is_refused(
    opened: Opened, upstream: HostileUpstream, stranger: Trap
) -> None:
    """C27: a session at another host is 502; nothing is sent there, and nothing of it is kept."""
    upstream.settings = Settings(upload_location=at_origin(stranger.url))
    replica = opened(in_process(upstream.url))
    reply = replica.client.request("POST", START).expect(502)
    assert reply.header("Location") is None
    assert upstream.count("POST") == 1
    assert stranger.connections == 0
    assert replica.spooled == []


def test_a_location_outside_v2(opened: Opened, upstream: HostileUpstream) -> None:
    """Settled 28: a path outside /v2/ goes on only under a configured prefix, and then it does."""
    replica = opened(in_process(upstream.url, primary={"location_prefixes": ("/uploads/",)}))
    target = "/uploads/s3/0123?sig=a%2Bb"
    upstream.inject(Header("Location", target), method="POST", path=UPLOADS)
    assert replica.client.request("POST", START).expect(202).header("Location") == target
    upstream.inject(Header("Location", "/else/0123"), method="POST", path=UPLOADS)
    replica.client.request("POST", START).expect(502)
    patch(replica.client, target, b"data")
    assert upstream.seen[-1].target == target
    assert upstream.seen[-1].body_bytes == 4
    before = len(upstream.seen)
    patch(replica.client, "/else/0123", b"data").expect(404)
    assert len(upstream.seen) == before
