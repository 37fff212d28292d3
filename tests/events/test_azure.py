"""Azure Container Registry: webhooks."""

import pytest

from proxy.events.event import Event, ManifestDeleted, ManifestPushed
from proxy.events.notification import Sender, Source
from tests.events.payloads import API, HAPPENED, TAG, A, names, parsed, said

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
SAID: dict[str, tuple[Event, ...]] = {
    "push": (ManifestPushed(API, TAG, A, DOCKER, 524),),
    "delete": (ManifestDeleted(API, A),),
    "chart-push": (),
    "quarantine": (),
    "ping": (),
}


@pytest.mark.parametrize("name", names(Sender.AZURE))
def test_each_payload_says_what_happened(name):
    """Charts of the old kind, quarantined images and pings are ignored."""
    assert said(name) == SAID[name.partition("/")[2]]


def test_the_source_names_request_and_registry():
    """Id, time, request and host are kept."""
    [notification] = parsed("azure/push").understood
    assert notification.source == Source(
        Sender.AZURE,
        HAPPENED.replace(microsecond=343145),
        "cb8c3971-0000-4000-8000-000000000001",
        request_id="3cbb6949-0000-4000-8000-000000000001",
        host="shop.azurecr.io",
    )
