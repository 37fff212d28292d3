"""zot: CloudEvents, mostly in the binary form."""

import pytest

from proxy.events.event import Event, ManifestDeleted, ManifestPushed, TagDeleted
from proxy.events.fields import NotUnderstood
from proxy.events.notification import Sender, Source
from proxy.events.senders import parse
from tests.events.payloads import API, HAPPENED, OCI, RECEIVED, TAG, A, names, parsed, payload, said

SAID: dict[str, tuple[Event, ...]] = {
    "updated-tag": (ManifestPushed(API, TAG, A, OCI),),
    "updated-digest": (ManifestPushed(API, None, A, OCI),),
    "deleted-tag": (TagDeleted(API, TAG, A),),
    "deleted-digest": (ManifestDeleted(API, A),),
    "repository-created": (),
    "lint-failed": (),
    "structured-own-prefix": (ManifestPushed(API, TAG, A, OCI),),
}


@pytest.mark.parametrize("name", names(Sender.ZOT))
def test_each_payload_says_what_happened(name):
    """A reference is a tag or a digest; new repositories and refused pushes are ignored."""
    assert said(name) == SAID[name.partition("/")[2]]


def test_the_source_comes_from_the_headers():
    """In the binary form id and time are header fields."""
    [notification] = parsed("zot/updated-tag").understood
    time = HAPPENED.replace(microsecond=123456)
    assert notification.source == Source(Sender.ZOT, time, "0f8fad5b-0000-4000-8000-000000000001")


def test_header_fields_are_decoded():
    """What isn't plain text in an attribute comes percent-encoded."""
    headers, body = payload("zot/updated-tag")
    found = parse({**headers, "Ce-Id": "caf%C3%A9%201"}, body, RECEIVED)
    assert found.understood[0].source.id == "café 1"


@pytest.mark.parametrize("version", ["2.0", "0.3", ""])
def test_another_version_of_cloud_events_is_not_guessed_at(version):
    """Only CloudEvents of version 1 are read."""
    headers, body = payload("zot/updated-tag")
    with pytest.raises(NotUnderstood):
        parse({**headers, "Ce-Specversion": version}, body, RECEIVED)
