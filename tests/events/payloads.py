"""The payloads in tests/data, and the values that stand in them."""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from proxy.events.event import Event
from proxy.events.notification import Notifications, Sender
from proxy.events.senders import parse
from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Digest
from proxy.oci.reference import Repository, Tag

FOLDER = Path(__file__).parent.parent / "data" / "notifications"

API = Repository.parse("shop/api")
WEB = Repository.parse("shop/web")
TAG = Tag.parse("1.4.2")
A = Digest.parse("sha256:" + "a1" * 32)
B = Digest.parse("sha256:" + "b2" * 32)
C = Digest.parse("sha256:" + "c3" * 32)
OCI = "application/vnd.oci.image.manifest.v1+json"
REFERENCES = (
    Descriptor("application/vnd.oci.image.config.v1+json", B, 197),
    Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", C, 4096),
)
HAPPENED = datetime(2024, 5, 1, 10, 11, 12, tzinfo=UTC)
RECEIVED = datetime(2024, 5, 1, 10, 11, 15, tzinfo=UTC)


def names(sender: Sender | None = None) -> list[str]:
    """Give the payloads of one sender, or of all, as `sender/name`."""
    pattern = f"{sender or '*'}/*.json"
    found = sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.glob(pattern))
    assert found, f"no payloads at {pattern}"
    return found


@cache
def payload(name: str) -> tuple[dict[str, str], bytes]:
    """Give the headers and the body that were sent."""
    recorded = json.loads((FOLDER / f"{name}.json").read_text())
    return recorded["headers"], json.dumps(recorded["body"]).encode()


def parsed(name: str, sender: Sender | None = None) -> Notifications:
    """Give what a payload says."""
    headers, body = payload(name)
    return parse(headers, body, RECEIVED, sender)


def said(name: str, sender: Sender | None = None) -> tuple[Event, ...]:
    """Give the events of a payload of which all is understood; none: it is ignored on purpose."""
    found = parsed(name, sender)
    assert found.sender == (sender or name.partition("/")[0])
    assert found.unread == ()
    assert bool(found.understood) != bool(found.ignored)
    assert all(each.source.sender is found.sender for each in found.understood)
    return tuple(each.event for each in found.understood)
