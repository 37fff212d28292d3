"""docs/notifications.md says what the parsers do."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from proxy.events.message import MAX_BODY_BYTES, MAX_ENTRIES
from proxy.events.notification import Sender, Source
from proxy.events.senders import parse
from proxy.events.wire import EVENTS, MAX_REFERENCES
from tests.events.payloads import RECEIVED

TEXT = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()
EXAMPLES = [
    *re.findall(r"curl --json '([^']+)'", TEXT),
    *(block for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL) if "version" in block),
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_are_understood(example):
    """What is shown can be posted as it stands."""
    assert len(EXAMPLES) == 2
    found = parse({"Content-Type": "application/json"}, example.encode(), RECEIVED)
    assert (len(found.understood), found.sender) == (1, Sender.PLAIN)


def test_every_sender_has_its_row():
    """The table names each sender as the URL does."""
    assert re.findall(r"^\| [^`|]+ \| `(\w+)` \|", TEXT, re.MULTILINE) == [
        *(each.value for each in Sender if each is not Sender.PLAIN),
        Sender.PLAIN,
    ]


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_has_its_row_with_its_fields(name):
    """The table names the fields of each event."""
    [row] = re.findall(rf"^\| `{name}` \|(.+)\|$", TEXT, re.MULTILINE)
    shown = set(re.findall(r"`(\w+)`", row)) - {"mediaType", "size"}
    assert shown == {each.name for each in fields(EVENTS[name])}


def test_the_source_is_shown_in_full():
    """The longest example has every field that a script may give."""
    shown = json.loads(EXAMPLES[-1])["source"]
    assert {*shown, "sender"} == {each.name for each in fields(Source)}


def test_the_bounds_are_the_ones_that_hold():
    """The numbers in the text are those of the parsers."""
    assert f"list of up to {MAX_ENTRIES:,}" in TEXT
    assert f"at most {MAX_BODY_BYTES >> 20} MiB" in TEXT
    assert f"up to {MAX_REFERENCES} descriptors" in TEXT
