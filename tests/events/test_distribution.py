"""Distribution: what docker-registry sent, and what only later versions send."""

import json

import pytest

from proxy.events.event import (
    BlobPushed,
    Event,
    ManifestDeleted,
    ManifestPushed,
    RepositoryDeleted,
    TagDeleted,
)
from proxy.events.notification import Notifications, Sender, Unread
from proxy.events.senders import parse
from proxy.events.wire import MAX_REFERENCES
from proxy.oci.digest import Digest
from tests.events.payloads import (
    API,
    HAPPENED,
    OCI,
    RECEIVED,
    REFERENCES,
    TAG,
    WEB,
    A,
    B,
    names,
    parsed,
    said,
)
from tests.support import push_story, registries
from tests.support.fixtures import require

MANIFEST = Digest.parse(push_story.IMAGE.digest)
CONFIG = Digest.parse(push_story.CONFIG.digest)
LAYER = Digest.parse(push_story.LAYER.digest)
MANIFEST_SIZE = len(push_story.IMAGE.data)
CONFIG_SIZE = len(push_story.CONFIG.data)
LAYER_SIZE = len(push_story.LAYER.data)
OCTETS = "application/octet-stream"

STORY: dict[str, tuple[Event, ...]] = {
    "push-blob": (BlobPushed(API, CONFIG, OCTETS, CONFIG_SIZE),),
    "push-layer": (BlobPushed(API, LAYER, OCTETS, LAYER_SIZE),),
    "push-tag": (ManifestPushed(API, TAG, MANIFEST, OCI, MANIFEST_SIZE),),
    "push-digest": (ManifestPushed(API, None, MANIFEST, OCI, MANIFEST_SIZE),),
    "mount": (BlobPushed(WEB, CONFIG, OCTETS, CONFIG_SIZE, mounted_from=API),),
    "pull-tag": (),
    "pull-blob": (),
    "delete-manifest": (ManifestDeleted(API, MANIFEST),),
    "delete-its-tag": (TagDeleted(API, TAG),),
    "delete-blob": (ManifestDeleted(API, CONFIG),),
}
WRITTEN: dict[str, tuple[Event, ...]] = {
    "v2-push-references": (ManifestPushed(API, TAG, A, OCI, 524, REFERENCES),),
    "v2-delete-tag": (TagDeleted(API, TAG),),
    "v2-delete-repository": (RepositoryDeleted(API),),
}
SAID = STORY | WRITTEN
MIXED = frozenset({"v2-some-bad", "empty-envelope"})


@pytest.mark.parametrize("name", names(Sender.DISTRIBUTION))
def test_each_payload_says_what_happened(name):
    """A push, a mount, a deletion in its three shapes are told apart; pulls are ignored."""
    stem = name.partition("/")[2]
    if stem not in MIXED:
        assert said(name) == SAID[stem]


def test_a_running_registry_says_the_same(tmp_path):
    """What a docker-registry sends today is what was recorded of it, event for event."""
    require(registries.PROGRAM)
    letters = push_story.letters_of_story(tmp_path / "registry")
    found = {name: parse(letter.headers, letter.body, RECEIVED) for name, letter in letters.items()}
    assert {name: tuple(n.event for n in each.understood) for name, each in found.items()} == STORY
    assert all(each.sender is Sender.DISTRIBUTION and not each.unread for each in found.values())
    ids = [n.source.id for each in found.values() for n in each.understood]
    assert len(set(ids)) == len(ids)


def test_the_source_is_who_asked_whom_and_when():
    """Id, time, actor, request and host of the envelope are kept."""
    [notification] = parsed("distribution/v2-push-references").understood
    source = notification.source
    assert source.id == "0d3c1f5e-0000-4000-8000-000000000001"
    assert source.time == HAPPENED.replace(microsecond=123456)
    assert (source.actor, source.host) == ("ci", "registry.example.com")
    assert source.request_id == "5b1f0000-0000-4000-8000-000000000001"


def test_a_bad_entry_loses_none_of_its_neighbours():
    """C18: of an envelope with bad entries the good ones are understood, the bad ones named."""
    found = parsed("distribution/v2-some-bad")
    events = [each.event for each in found.understood]
    assert events == [ManifestPushed(API, TAG, A, OCI, 524), ManifestDeleted(WEB, B)]
    assert found.ignored == 1
    assert found.unread == (
        Unread(1, "digest: “sha256:short” is no digest"),
        Unread(3, "repository: “Shop/Api” is no repository name"),
        Unread(4, "action: “rename” is none that is known"),
        Unread(5, "event: expected an object"),
    )


TARGET = {"repository": API, "digest": str(A), "mediaType": "application/vnd.example.manifest"}
URL = f"https://registry.example.com/v2/{API}/"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"tag": TAG}, ManifestPushed),
        ({"url": f"{URL}manifests/{A}"}, ManifestPushed),
        ({"url": f"{URL}blobs/{A}"}, BlobPushed),
        ({}, BlobPushed),
    ],
    ids=["tag", "manifest's URL", "blob's URL", "nothing"],
)
def test_a_manifest_of_a_type_to_come_is_told_by_tag_or_url(more, kind):
    """What has an unknown type is a manifest if it has a tag or lies where manifests do."""
    assert isinstance(pushed(TARGET | more), kind)


@pytest.mark.parametrize("count", [MAX_REFERENCES, MAX_REFERENCES + 1])
def test_a_long_list_of_references_is_left_out(count):
    """References are bounded; the push is understood without them."""
    reference = {"mediaType": OCI, "digest": str(B), "size": 1}
    event = pushed(TARGET | {"tag": TAG, "references": [reference] * count})
    assert len(event.references) == (count if count <= MAX_REFERENCES else 0)


def pushed(target: dict[str, object]) -> Event:
    body = json.dumps({"events": [{"action": "push", "target": target}]}).encode()
    [notification] = parse({}, body, RECEIVED).understood
    return notification.event


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "", None, 0, True, "soon", 1e300, 10**17])
def test_a_time_that_is_none_is_when_it_came(time):
    """An unset or senseless time doesn't become the age of an event."""
    event = {"action": "delete", "target": {"repository": API}, "timestamp": time}
    [notification] = parse({}, json.dumps({"events": [event]}).encode(), RECEIVED).understood
    assert notification.source.time == RECEIVED


def test_an_envelope_without_events_is_one():
    """An empty envelope, which is written without its list, says nothing and is no error."""
    assert parsed("distribution/empty-envelope") == Notifications(Sender.DISTRIBUTION)
