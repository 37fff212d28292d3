"""Quay: webhooks of repositories."""

from datetime import timedelta

import pytest

from proxy.events.event import Event, ManifestPushed
from proxy.events.notification import Sender
from proxy.events.senders import parse
from proxy.oci.reference import Tag
from tests.events.payloads import API, RECEIVED, TAG, names, payload, said

SAID: dict[str, tuple[Event, ...]] = {
    "push": (ManifestPushed(API, TAG), ManifestPushed(API, Tag.parse("latest"))),
    "push-old-form": (ManifestPushed(API, TAG),),
    "build": (),
    "scan": (),
}


@pytest.mark.parametrize("name", names(Sender.QUAY))
def test_each_payload_says_what_happened(name):
    """A push is one event for each tag, without a digest; builds and scans are ignored."""
    assert said(name) == SAID[name.partition("/")[2]]


def test_a_second_push_of_a_tag_is_not_taken_for_the_first():
    """Where neither id nor time is sent, two pushes of one tag have two ids."""
    headers, body = payload("quay/push-old-form")
    moments = RECEIVED, RECEIVED + timedelta(seconds=1)
    ids = {parse(headers, body, moment).understood[0].source.id for moment in moments}
    assert len(ids) == 2
