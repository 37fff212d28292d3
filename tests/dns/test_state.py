"""What the hub says is used as a whole, or not at all; the file that keeps it."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from geo.situation import Standing
from hub.dns.kept import StateFile
from hub.dns.state import StateInvalid, read_state
from tests.dns.stub_hub import REGIONS, geo_document


def test_a_state_is_read() -> None:
    """Regions, standings, linked networks, and what is said of the answers."""
    state = read_state(
        geo_document(
            domain="registry.example.com:443",
            standings={"ap-tokyo": "down", "eu-frankfurt": "drained", "gone": "up"},
            linked={"ap-tokyo": ["10.9.0.0/16", "fd00::/48"], "gone": ["10.0.0.0/8"]},
        )
    )
    assert (state.revision, state.domain, state.ttl_seconds, state.spread) == (
        "r1",
        "registry.example.com",
        5,
        1,
    )
    assert [each.name for each in state.catalogue.regions] == list(REGIONS)
    assert state.situation.standings == {
        "ap-tokyo": Standing.DOWN,
        "eu-frankfurt": Standing.DRAINED,
    }
    assert list(map(str, state.situation.linked["ap-tokyo"])) == ["10.9.0.0/16", "fd00::/48"]


BAD: dict[str, Any] = {
    "no object": [],
    "no revision": geo_document(revision=None),
    "a revision with a line's end": geo_document(revision="r1\n"),
    "no domain": geo_document(domain=""),
    "a ttl of nothing": geo_document(ttl_seconds=0),
    "a ttl that is no number": geo_document(ttl_seconds="5"),
    "a ttl that is true": geo_document(ttl_seconds=True),
    "no spread": geo_document(spread=None),
    "no catalogue": geo_document(catalogue=None),
    "a catalogue without regions": geo_document(catalogue={"default": "a", "regions": {}}),
    "a default that isn't there": geo_document(catalogue={"default": "x", "regions": REGIONS}),
    "families that some regions lack": geo_document(
        catalogue={
            "default": "ap-tokyo",
            "regions": {**REGIONS, "ap-tokyo": {**REGIONS["ap-tokyo"], "addresses": ["192.0.2.1"]}},
        }
    ),
    "standings in a list": geo_document(standings=["up"]),
    "an unknown standing": geo_document(standings={"ap-tokyo": "asleep"}),
    "a standing that is a list": geo_document(standings={"ap-tokyo": ["up"]}),
    "networks that are none": geo_document(linked={"ap-tokyo": ["10.0.0.1/8"]}),
    "a network that is a number": geo_document(linked={"ap-tokyo": [7]}),
    "networks in a text": geo_document(linked={"ap-tokyo": 7}),
}


@pytest.mark.parametrize("document", BAD.values(), ids=list(BAD))
def test_a_bad_state_is_refused(document: object) -> None:
    """Nothing of a document that is wrong somewhere is used; the reason names the place."""
    with pytest.raises(StateInvalid) as caught:
        read_state(document)
    assert str(caught.value)


def test_the_file_is_private_and_gives_back_what_was_kept(tmp_path: Path) -> None:
    """Nobody else reads the file, nothing is left beside it, and a second one replaces it."""
    file = StateFile(tmp_path / "state.json")
    assert file.read() is None
    for ttl in (5, 6):
        file.write(geo_document(ttl_seconds=ttl), 1_700_000_000.5)
    kept = file.read()
    assert kept is not None
    assert kept.confirmed_at == 1_700_000_000.5
    assert kept.state == read_state(geo_document(ttl_seconds=6))
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"confirmed_at": "yesterday", "state": {}}',
        json.dumps({"confirmed_at": float("nan"), "state": geo_document()}),
        json.dumps({"confirmed_at": 1, "state": geo_document(ttl_seconds=0)}),
        json.dumps({"confirmed_at": 1, "state": geo_document()})[:-40],
        "[" * 100_000,
        "\x00" * 4096,
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    """What can't have been written is no state."""
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(StateInvalid):
        StateFile(path).read()


def test_a_folder_that_isnt_there_is_an_error(tmp_path: Path) -> None:
    """It is for the operator to make, with the owner and mode it should have."""
    with pytest.raises(OSError, match="No such file"):
        StateFile(tmp_path / "none" / "state.json").write(geo_document(), 0)
