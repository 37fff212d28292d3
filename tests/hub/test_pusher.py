"""Where the sentinel's uploads go: to the primary, whatever it answers."""

from types import SimpleNamespace

import pytest

from hub.sentinel.pusher import Login, Pusher, realms_of
from proxy.net.origins import Origin
from proxy.oci.errors import BadGateway

PRIMARY = Origin.of("https://registry.example.com:5000")
UPLOAD = "/v2/proxima/sentinel/blobs/uploads/8f3a?_state=a%2Fb"


def pusher() -> Pusher:
    link = SimpleNamespace(origin=PRIMARY)  # nothing is sent here
    realms = realms_of(PRIMARY, ())
    return Pusher(link, None, realms, "proxima/sentinel", Login())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "location",
    [
        UPLOAD,
        f"https://registry.example.com:5000{UPLOAD}",
        f"http://registry.example.com:5000{UPLOAD}",
        f"https://REGISTRY.example.com:5000{UPLOAD}",
        UPLOAD.removeprefix("/v2/"),
    ],
)
def test_an_upload_at_the_primary(location: str) -> None:
    """Path and query go on as they are, whatever scheme the primary thinks it is reached by."""
    assert pusher()._upload_target(location) == UPLOAD


@pytest.mark.parametrize(
    "location",
    [
        f"https://evil.example.com{UPLOAD}",
        f"https://registry.example.com{UPLOAD}",
        f"https://registry.example.com:5000@evil.example.com{UPLOAD}",
        f"//evil.example.com{UPLOAD}",
        "/upload/8f3a",
        "/v2/../token",
        "",
    ],
)
def test_an_upload_elsewhere(location: str) -> None:
    """C13: another host, port or path gets nothing of the sentinel's."""
    with pytest.raises(BadGateway):
        pusher()._upload_target(location)
