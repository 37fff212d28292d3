"""Whatever is posted: it is understood, or refused in the one way that the receiver knows."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.events.fields import NotUnderstood
from proxy.events.message import MAX_ENTRIES
from proxy.events.notification import Notifications, Sender
from proxy.events.senders import parse
from proxy.events.wire import from_json, to_json
from tests.events.payloads import RECEIVED, names, payload

Path = tuple[str | int, ...]


def paths_in(value: object, path: Path = ()) -> Iterator[Path]:
    """Give the way to each part of a document."""
    yield path
    pairs = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    for key, inner in pairs:
        yield from paths_in(inner, (*path, key))


def with_part(value, path: Path, part: object):
    """Give a document with another part at the end of the way."""
    if not path:
        return part
    changed = value.copy()
    changed[path[0]] = with_part(value[path[0]], path[1:], part)
    return changed


PAYLOADS = [payload(name) for name in names()]
SPOTS = [
    (headers, json.loads(body), path)
    for headers, body in PAYLOADS
    for path in paths_in(json.loads(body))
]
KEYS = sorted({step for _, _, path in SPOTS for step in path if isinstance(step, str)})
WORDS = ["push", "delete", "mount", "PUSH_ARTIFACT", "pushImage", "harbor.artifact.pushed"]
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "ce-specversion", "ce-type", "ce-id", "ce-time"]),
    st.sampled_from([*WORDS, "1.0", "application/cloudevents+json", "%ff%00", "\udc80", ""])
    | st.text(max_size=8),
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(WORDS)
)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=12,
)
senders = st.none() | st.sampled_from(Sender)


def take(headers: dict[str, str], body: bytes, sender: Sender | None) -> Notifications | None:
    """Give what is understood, None if nothing is; anything but that is a failure of the test."""
    try:
        found = parse(headers, body, RECEIVED, sender)
    except NotUnderstood:
        return None
    assert len(found.unread) + found.ignored <= MAX_ENTRIES
    assert all(each.reason.isprintable() and len(each.reason) <= 200 for each in found.unread)
    for notification in found.understood:
        assert from_json(json.loads(json.dumps(to_json(notification)))) == notification
    return found


@given(HEADERS, st.binary(max_size=200), senders)
def test_any_bytes(headers, body, sender):
    """C18: random bytes raise nothing but NotUnderstood."""
    take(headers, body, sender)


@given(HEADERS, documents, senders)
def test_any_json(headers, document, sender):
    """C18: random JSON of the words that senders use raises nothing but NotUnderstood."""
    take(headers, json.dumps(document).encode(), sender)


@given(st.sampled_from(SPOTS), documents, senders)
def test_any_part_of_a_payload_changed(spot, part, sender):
    """C18: with any part of a payload changed, what comes out can still be written and read."""
    headers, document, path = spot
    take(headers, json.dumps(with_part(document, path, part)).encode(), sender)


@given(st.sampled_from(PAYLOADS), st.data())
def test_any_byte_of_a_payload_changed(sent, data):
    """C18: with any byte of a payload changed or all that follows cut, the same holds."""
    headers, body = sent
    place = data.draw(st.integers(0, len(body) - 1))
    take(headers, body[:place], None)
    byte = data.draw(st.binary(min_size=1, max_size=1))
    take(headers, body[:place] + byte + body[place + 1 :], None)


@pytest.mark.parametrize("depth", [100, 990, 1000, 100_000])
@pytest.mark.parametrize("opening", [b"[", b'{"events":[', b'{"a":'])
def test_any_depth(opening, depth):
    """C18: deep nesting is refused, never a RecursionError."""
    closing = {b"[": b"]", b'{"events":[': b"]}", b'{"a":': b"}"}[opening]
    found = take({}, opening * depth + b"1" + closing * depth, None)
    assert found is None or not found.understood
