"""Our own form, as scripts post it."""

from proxy.events.event import (
    BlobPushed,
    ManifestDeleted,
    ManifestPushed,
    RepositoryDeleted,
    TagDeleted,
)
from proxy.events.notification import Sender, Source
from proxy.events.senders import parse
from proxy.oci.reference import Repository
from tests.events.payloads import (
    API,
    HAPPENED,
    OCI,
    RECEIVED,
    REFERENCES,
    TAG,
    A,
    B,
    parsed,
    said,
)


def test_the_shortest_form_names_repository_and_tag():
    """Without a source the time is when it came, and an id is made."""
    assert said("plain/push") == (ManifestPushed(API, TAG),)
    [notification] = parsed("plain/push").understood
    source = notification.source
    assert source == Source(Sender.PLAIN, RECEIVED, source.id)
    assert source.id.startswith("made-")


def test_the_long_form_says_all():
    """Every field of an event and of its source may be given."""
    assert said("plain/full") == (ManifestPushed(API, TAG, A, OCI, 524, REFERENCES),)
    [notification] = parsed("plain/full").understood
    assert notification.source == Source(
        Sender.PLAIN, HAPPENED, "build-77", "ci", "r-1", "registry.example.com"
    )


def test_a_list_is_read_entry_by_entry():
    """Each kind of event has its name; a misspelt field, another version and a push of nothing are
    refused without the rest.
    """
    found = parsed("plain/list")
    assert [each.event for each in found.understood] == [
        BlobPushed(API, B, mounted_from=Repository.parse("shop/base")),
        ManifestDeleted(API, A),
        TagDeleted(API, TAG),
        RepositoryDeleted(API),
    ]
    assert [(each.index, each.reason) for each in found.unread] == [
        (4, "“tags” is no field of it"),
        (5, "version: expected 1"),
        (6, "manifest.pushed: expected a tag, a digest or both"),
    ]


def test_what_it_says_of_its_sender_is_not_believed():
    """A script can't pass for a registry."""
    body = (
        b'{"version":1,"event":"repository.deleted","repository":"shop/api",'
        b'"source":{"sender":"harbor","id":"1"}}'
    )
    [notification] = parse({}, body, RECEIVED).understood
    assert notification.source.sender is Sender.PLAIN
