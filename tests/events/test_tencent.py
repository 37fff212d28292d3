"""Tencent Container Registry: triggers."""

import pytest

from proxy.events.event import Event, ManifestDeleted, ManifestPushed, TagDeleted
from proxy.events.notification import Sender
from tests.events.payloads import API, HAPPENED, TAG, A, names, parsed, said

SAID: dict[str, tuple[Event, ...]] = {
    "push-image": (ManifestPushed(API, TAG, A),),
    "delete-image": (TagDeleted(API, TAG, A),),
    "delete-untagged": (ManifestDeleted(API, A),),
    "pull-image": (),
}


@pytest.mark.parametrize("name", names(Sender.TENCENT))
def test_each_payload_says_what_happened(name):
    """The beginning of the type tells; pulls are ignored."""
    assert said(name) == SAID[name.partition("/")[2]]


def test_the_source_names_the_instance():
    """Time and operator are kept, and the host of the instance's domain."""
    [notification] = parsed("tencent/push-image").understood
    assert notification.source.time == HAPPENED
    assert notification.source.actor == "100000000001"
    assert notification.source.host == "shop-registry.tencentcloudcr.com"
