"""Harbor: webhooks in the forms Default and CloudEvents."""

import json

import pytest

from proxy.events.event import Event, ManifestDeleted, ManifestPushed, TagDeleted
from proxy.events.notification import Sender, Source
from proxy.events.senders import parse
from proxy.oci.reference import Tag
from tests.events.payloads import API, HAPPENED, RECEIVED, TAG, A, B, names, parsed, said

BATCH = "harbor/cloudevents-batch"
SAID: dict[str, tuple[Event, ...]] = {
    "push": (ManifestPushed(API, TAG, A),),
    "push-untagged": (ManifestPushed(API, None, A),),
    "create-tag": (ManifestPushed(API, Tag.parse("stable"), A),),
    "delete": (ManifestDeleted(API, A, TAG),),
    "delete-untagged": (ManifestDeleted(API, A),),
    "pull": (),
    "scan": (),
    "quota": (),
    "replication": (),
    "retention": (),
    "cloudevents-push": (ManifestPushed(API, TAG, A),),
    "cloudevents-delete": (ManifestDeleted(API, A),),
    "cloudevents-pull": (),
}


@pytest.mark.parametrize("name", [name for name in names(Sender.HARBOR) if name != BATCH])
def test_each_payload_says_what_happened(name):
    """Pushes and deletions are understood, with no tag where the digest stands for it; scans,
    quotas, replications and the like are ignored.
    """
    assert said(name) == SAID[name.partition("/")[2]]


@pytest.mark.parametrize("sender", [Sender.HARBOR, Sender.TENCENT])
@pytest.mark.parametrize("kind", ["PUSH_ARTIFACT", "DELETE_ARTIFACT"])
@pytest.mark.parametrize("resource", [{}, {"tag": "", "digest": None}])
def test_a_resource_without_a_name_is_not_understood(sender, kind, resource):
    """Neither tag nor digest is nothing that was pushed, and deletes no repository."""
    event_data = {"resources": [resource], "repository": {"repo_full_name": "shop/api"}}
    body = json.dumps({"type": kind, "event_data": event_data}).encode()
    found = parse({}, body, RECEIVED, sender)
    assert found.understood == ()
    assert [each.reason for each in found.unread] == ["resource: expected a tag or a digest"]


@pytest.mark.parametrize("sender", [Sender.HARBOR, Sender.TENCENT])
def test_a_deletion_by_tag_alone_is_that_tags(sender):
    """Without a digest only the tag is known to be gone."""
    event_data = {"resources": [{"tag": TAG}], "repository": {"repo_full_name": API}}
    body = json.dumps({"type": "DELETE_ARTIFACT", "event_data": event_data}).encode()
    [notification] = parse({}, body, RECEIVED, sender).understood
    assert notification.event == TagDeleted(API, TAG)


def test_the_default_form_has_no_id_so_one_is_made():
    """The same webhook sent twice has one id, another event another."""
    first, again, other = (parsed(f"harbor/{name}") for name in ("push", "push", "create-tag"))
    [[first], [again], [other]] = (each.understood for each in (first, again, other))
    assert first == again
    assert first.source.id != other.source.id
    assert first.source == Source(
        Sender.HARBOR, HAPPENED, first.source.id, actor="admin", host="harbor.example.com"
    )


def test_cloud_events_bring_their_ids():
    """Id, request and operator are those of the event."""
    [notification] = parsed("harbor/cloudevents-push").understood
    assert notification.source == Source(
        Sender.HARBOR,
        HAPPENED,
        "4b2f89a6-0000-4000-8000-000000000001",
        "robot$ci",
        "2eedfab8-0000-4000-8000-000000000001",
        "harbor.example.com",
    )


def test_each_resource_of_each_event_of_a_batch_stands_for_itself():
    """Two resources are two events with two ids; an event without data loses none of them."""
    found = parsed(BATCH)
    assert [(each.source.id[-3:], each.event) for each in found.understood] == [
        ("001", ManifestPushed(API, TAG, A)),
        ("1#1", ManifestPushed(API, Tag.parse("1.4.3"), B)),
    ]
    assert [(each.index, each.reason) for each in found.unread] == [
        (2, "repository: expected an object")
    ]
