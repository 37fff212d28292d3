"""Where the sentinel's uploads go: to the primary, whatever it answers."""

from types import SimpleNamespace

import pytest
from multidict import CIMultiDict

from hub.login import Login, realms_of
from hub.sentinel.contents import content
from hub.sentinel.pusher import Pusher
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


class Answering:
    """A primary that answers everything the same way."""

    def __init__(self, status: int, **headers: str) -> None:
        self.origin, self.status = PRIMARY, status
        self.headers = CIMultiDict({name.replace("_", "-"): headers[name] for name in headers})
        self.asked = 0

    async def request(self, *given: object, **more: object) -> "Answering":
        self.asked += 1
        return self

    def header(self, name: str) -> str:
        return str(self.headers.get(name, ""))

    async def drop(self) -> None:
        pass


@pytest.mark.parametrize(
    "primary",
    [
        Answering(202, Location="http://[bad"),
        Answering(401, WWW_Authenticate='Bearer realm="https://[bad",service="registry"'),
    ],
    ids=["upload", "realm"],
)
async def test_what_is_no_url_is_an_answer_like_others(primary: Answering) -> None:
    """A primary that answers nonsense is a failure that the sentinel knows, and is told of."""
    login = Login("hub", "password")
    own = Pusher(primary, None, realms_of(PRIMARY, ()), "proxima/sentinel", login)  # type: ignore[arg-type]
    with pytest.raises(BadGateway, match="can't be followed"):
        await own.push(content(1))
    assert primary.asked == 1
