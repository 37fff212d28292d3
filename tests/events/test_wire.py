"""The JSON form: what is written is read back, and nothing else is read."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.events.fields import NotUnderstood
from proxy.events.notification import Sender
from proxy.events.senders import parse
from proxy.events.wire import from_json, to_json
from tests.events.payloads import RECEIVED, names, parsed, payload
from tests.events.strategies import notifications

SHORT = {"version": 1, "event": "tag.deleted", "repository": "shop/api", "tag": "1"}
SOURCE = {"sender": "harbor", "id": "1", "time": "2024-05-01T10:11:12Z"}
WHOLE = {**SHORT, "source": SOURCE}


def test_the_form_is_as_documented():
    """What is absent is left out, and the rest is written so that other programs can read it."""
    [notification] = parsed("plain/full").understood
    _, body = payload("plain/full")
    posted = json.loads(body)
    assert to_json(notification) == {**posted, "source": {"sender": "plain", **posted["source"]}}
    [short] = parsed("plain/push").understood
    assert to_json(short)["source"].keys() == {"sender", "time", "id"}


@given(notifications)
def test_every_notification_survives_its_json(notification):
    """Through the log and to a replica nothing is lost or changed."""
    assert from_json(json.loads(json.dumps(to_json(notification)))) == notification


@given(notifications)
def test_the_log_form_may_be_posted(notification):
    """What the log holds is the plain form, whoever sent it first."""
    body = json.dumps(to_json(notification)).encode()
    found = parse({}, body, RECEIVED)
    plain = replace(notification, source=replace(notification.source, sender=Sender.PLAIN))
    assert found.understood == (plain,)


@pytest.mark.parametrize("name", names())
def test_what_senders_say_survives_its_json(name):
    """Every notification that is made of a payload can be written and read."""
    for notification in parsed(name).understood:
        assert from_json(to_json(notification)) == notification


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"version": 2}, "version"),
        ({"version": True}, "version"),
        ({"version": None}, "version"),
        ({"event": "tag.renamed"}, "event"),
        ({"event": 1}, "event"),
        ({"repository": "Shop"}, "repository"),
        ({"repository": None}, "repository"),
        ({"repository": ["shop"]}, "repository"),
        ({"tag": "-"}, "tag"),
        ({"tag": 1}, "tag"),
        ({"tag": None}, "tag"),
        ({"digest": "sha256:1"}, "digest"),
        ({"size_bytes": 1}, "size_bytes"),
        ({"source": None}, "source"),
        ({"source": {**SOURCE, "sender": "ghcr"}}, "sender"),
        ({"source": {**SOURCE, "id": ""}}, "id"),
        ({"source": {**SOURCE, "id": "\n"}}, "id"),
        ({"source": {**SOURCE, "id": "x" * 256}}, "id"),
        ({"source": {**SOURCE, "time": "yesterday"}}, "time"),
        ({"source": {**SOURCE, "time": 1714558272}}, "time"),
        ({"source": {**SOURCE, "user": "x"}}, "user"),
    ],
    ids=str,
)
def test_reading_is_strict(changed, reason):
    """A field that is wrong, missing or unknown is named."""
    from_json(WHOLE)
    with pytest.raises(NotUnderstood, match=reason):
        from_json({**WHOLE, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"size_bytes": -1},
        {"size_bytes": True},
        {"size_bytes": 2**63},
        {"references": {}},
        {"references": [{"digest": "sha256:1"}]},
        {"references": [{}] * 257},
        {"media_type": 1},
        {"mounted_from": "shop/base"},
    ],
    ids=lambda value: str(value)[:30],
)
def test_reading_a_push_is_strict(changed):
    """Sizes, types and references are of their kind or are refused."""
    pushed = {**WHOLE, "event": "manifest.pushed"}
    from_json(pushed)
    with pytest.raises(NotUnderstood, match=next(iter(changed))):
        from_json({**pushed, **changed})


@given(
    st.dictionaries(
        st.sampled_from([*WHOLE, *SOURCE, "digest", "references", ""]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}),
        min_size=1,
        max_size=4,
    )
)
def test_any_field_is_read_or_refused(changed):
    """C18: whatever stands in a field is refused, or makes a notification that can be written."""
    try:
        notification = from_json({**WHOLE, **changed})
    except NotUnderstood:
        return
    assert from_json(to_json(notification)) == notification


@pytest.mark.parametrize("value", [None, [], "text", 1, {}, [WHOLE]], ids=repr)
def test_what_is_no_object_is_refused(value):
    """Another kind of JSON than an object of ours is no notification."""
    with pytest.raises(NotUnderstood):
        from_json(value)
