"""The table: who is told by shape, who is forced, and what is no message at all."""

import json

import pytest

from proxy.events.fields import NotUnderstood
from proxy.events.message import MAX_BODY_BYTES, MAX_ENTRIES, read_message
from proxy.events.notification import Sender
from proxy.events.senders import FORMS, parse
from tests.events.payloads import RECEIVED, names, parsed, payload

JSON = {"content-type": "application/json; charset=utf-8"}


def body_of(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("name", names())
def test_no_payload_looks_like_two_forms(name):
    """The order of the table decides nothing between the senders."""
    headers, body = payload(name)
    message = read_message(headers, body, RECEIVED)
    assert len({form.sender for form in FORMS if form.is_used(message)}) == 1


@pytest.mark.parametrize("name", names())
def test_a_forced_sender_reads_the_same(name):
    """Naming the sender in the URL changes nothing for its own messages."""
    assert parsed(name, Sender(name.partition("/")[0])) == parsed(name)


@pytest.mark.parametrize("name", [each for each in names() if "/cloudevents" not in each])
@pytest.mark.parametrize("headers", [{}, {"CONTENT-TYPE": "text/plain"}], ids=["none", "text"])
def test_the_shape_tells_where_the_content_type_does_not(name, headers):
    """A proxy that loses or changes the content type loses no event."""
    sent, body = payload(name)
    kept = {key: value for key, value in sent.items() if key != "Content-Type"}
    if name == "distribution/empty-envelope":
        with pytest.raises(NotUnderstood):
            parse(kept | headers, body, RECEIVED)
    else:
        assert parse(kept | headers, body, RECEIVED) == parsed(name)


def test_a_forced_sender_is_not_guessed_anew():
    """A message of another sender isn't read as that one's when the sender is named."""
    headers, body = payload("azure/push")
    found = parse(headers, body, RECEIVED, Sender.TENCENT)
    assert found.sender is Sender.TENCENT
    assert (found.understood, len(found.unread)) == ((), 1)
    with pytest.raises(NotUnderstood, match="no form of harbor"):
        parse(headers, body, RECEIVED, Sender.HARBOR)


def test_a_forced_sender_reads_the_types_of_its_relatives():
    """Harbor's tree under Tencent's name is read by the beginnings of its types."""
    headers, body = payload("harbor/push")
    [notification] = parse(headers, body, RECEIVED, Sender.TENCENT).understood
    assert notification.event == parsed("harbor/push").understood[0].event


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no JSON document"),
        (b"\xff\xfe\x00", "no JSON document"),
        (b"event=push&tag=1", "no JSON document"),
        (b'{"version": NaN}', "no JSON document"),
        (b"[" * 100_000, "no JSON document"),
        (b"1" * 5000, "no JSON document"),
        (b"{}", "no form of any sender"),
        (b"[]", "no form of any sender"),
        (b'"push"', "no form of any sender"),
        (body_of({"action": "push", "repository": "shop/api"}), "no form of any sender"),
        (b" " * (MAX_BODY_BYTES + 1), f"more than {MAX_BODY_BYTES} bytes"),
        (body_of({"events": [{}] * (MAX_ENTRIES + 1)}), f"more than {MAX_ENTRIES} entries"),
        (body_of([[]] * (MAX_ENTRIES + 1)), f"more than {MAX_ENTRIES} entries"),
        (
            body_of({"type": "PUSH_ARTIFACT", "event_data": {"resources": [1] * 1001}}),
            "more than 1000 resources",
        ),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_message_is_refused_as_a_whole(body, reason):
    """C18: no JSON, no known shape, or too much of it: one error, with a reason."""
    with pytest.raises(NotUnderstood, match=reason):
        parse(JSON, body, RECEIVED)


def test_as_many_entries_as_are_taken_are_taken():
    """The bound on entries is the last number that passes."""
    found = parse(JSON, body_of({"events": [{"action": "pull"}] * MAX_ENTRIES}), RECEIVED)
    assert found.ignored == MAX_ENTRIES


def test_reasons_and_texts_are_bounded_and_printable():
    """What a sender writes reaches logs cut, and without control characters."""
    evil = "\x1b[2J\r\n\ud800" + "x" * 5000
    event = {"action": "push", "target": {"repository": evil, "tag": "1"}}
    actor = {"actor": {"name": evil}, "id": evil, "timestamp": evil, "request": {"host": evil}}
    good = {"action": "delete", "target": {"repository": "shop/api"}, **actor}
    found = parse(JSON, body_of({"events": [event, good]}), RECEIVED)
    source = found.understood[0].source
    texts = [found.unread[0].reason, source.actor, source.host, source.id]
    assert all(text.isprintable() and 0 < len(text) <= 255 for text in texts)
    assert source.time == RECEIVED
