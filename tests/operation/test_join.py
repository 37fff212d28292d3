"""`proxima replica --join`: a replica that is told all it needs by a hub."""

import argparse
import errno
import json
import os
import stat
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from config import Settings, load
from proxy.cli.join import FILE_NAME, NotJoined, settings_of_join
from tests.hub.place import ADMIN_TOKEN
from tests.hub.process import HubProcess, hub_process
from tests.support.ports import LOOPBACK
from tests.support.registry_client import RegistryClient

PRIMARY = "https://registry.example.com"
REGION = "eu-frankfurt"


@pytest.fixture
def primary() -> dict[str, object]:
    """The hub's settings of its primary; they count at the hub's next start."""
    return {
        "id": "acme",
        "region": "ap-singapore",
        "url": PRIMARY,
        "domain": "images.example.com",
        "trusted_origins": ["https://auth.example.com"],
    }


@pytest.fixture
def hub(tmp_path: Path, primary: dict[str, object]) -> Iterator[HubProcess]:
    sentinel = {"repository": "proxima/sentinel"}
    with hub_process(tmp_path, primary=primary, sentinel=sentinel) as made:
        made.start()
        yield made


@pytest.fixture
def token_file(hub: HubProcess, tmp_path: Path) -> Path:
    """The token of a replica whose copies are limited."""
    operator = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
    wish = {"repositories": ["shop/**"], "bandwidth_bytes": 1_000_000}
    body = json.dumps({"region": REGION, "replication": wish}).encode()
    reply = RegistryClient(f"http://{hub.api}").request("POST", "/v1/replicas", operator, body)
    path = tmp_path / "token"
    path.write_text(json.loads(reply.expect(201).body)["token"])
    return path


class Joining:
    """A command line with `--join`."""

    def __init__(self, url: str, token_file: Path, store: Path) -> None:
        self.store = store
        self._arguments = {
            "config": None,
            "join": url,
            "token_file": token_file,
            "hub_ca_file": None,
            "join_again": False,
        }

    def settings(self, environ: Mapping[str, str] | None = None, **more: object) -> Settings:
        """Give the settings that it makes."""
        arguments = argparse.Namespace(**{**self._arguments, **more})
        flags = {"store.root": self.store}
        return load(None, environ or {}, flags, settings_of_join(arguments, flags))


@pytest.fixture
def joining(hub: HubProcess, token_file: Path, tmp_path: Path) -> Joining:
    return Joining(f"http://{hub.api}", token_file, tmp_path / "store")


def test_the_hub_says_all_that_is_needed(joining: Joining) -> None:
    """Region, domain, primary, what is copied or never, and how fast come from the hub; what it
    said is kept for the owner's eyes alone.
    """
    settings = joining.settings()
    assert settings.region == REGION
    assert settings.primary.url == PRIMARY
    assert settings.primary.trusted_origins == ("https://auth.example.com",)
    assert settings.listen.names == ("images.example.com",)
    assert settings.replication.repositories == ("shop/**",)
    assert settings.replication.bandwidth == 1_000_000
    assert settings.replication.excluded == ("proxima/sentinel",)
    assert stat.S_IMODE((joining.store / FILE_NAME).stat().st_mode) == 0o600


def test_an_operator_may_say_otherwise(joining: Joining) -> None:
    """Environment, file and flags go over what the hub says."""
    settings = joining.settings({"PROXIMA_REPLICATION__BANDWIDTH": "5MB"})
    assert settings.replication.bandwidth == 5_000_000


def test_while_the_hub_is_down_its_last_words_count(
    joining: Joining, hub: HubProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replica that joined once starts without the hub, and says so; one that never did doesn't
    start.
    """
    before = joining.settings()
    hub.process.kill()
    assert joining.settings() == before
    assert "going on with what it said last" in capsys.readouterr().err
    joining.store = joining.store.with_name("other")
    with pytest.raises(NotJoined, match="can't be joined"):
        joining.settings()


def test_the_primary_is_pinned_to_the_first_join(
    joining: Joining,
    hub: HubProcess,
    primary: dict[str, object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A hub that names another primary later, or other origins for credentials, isn't followed
    until somebody says so here.
    """
    joining.settings()
    hub.process.kill()
    primary |= {"url": "https://evil.example.com", "trusted_origins": ["https://evil.example.com"]}
    hub.start()
    stayed = joining.settings().primary
    assert (stayed.url, stayed.trusted_origins) == (PRIMARY, ("https://auth.example.com",))
    assert "names another primary, https://evil.example.com" in capsys.readouterr().err
    assert joining.settings(join_again=True).primary.url == "https://evil.example.com"
    assert joining.settings().primary.url == "https://evil.example.com"


def test_a_wrong_token_joins_nothing(joining: Joining, token_file: Path) -> None:
    """What the hub refuses is said in one line."""
    token_file.write_text("another-token-that-is-none")
    with pytest.raises(NotJoined, match="401"):
        joining.settings()


SAID: dict[str, object] = {"primary": {"url": PRIMARY, "trusted_origins": []}, "head": 1}


class ScriptedHub(BaseHTTPRequestHandler):
    """Answers each question with `said`."""

    said: ClassVar[object] = SAID

    def do_GET(self) -> None:
        body = json.dumps(self.said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Joining]:
    """A command line whose hub says what `ScriptedHub.said` is."""
    token_file = tmp_path / "token"
    token_file.write_text("join-token")
    with ThreadingHTTPServer((LOOPBACK, 0), ScriptedHub) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Joining(f"http://{LOOPBACK}:{server.server_port}", token_file, tmp_path / "store")
        server.shutdown()
        thread.join()


DAMAGED = {
    "empty": "",
    "cut-off": '{"primary": {"url": "https://registry.exa',
    "no-object": "[]",
    "no-primary": "{}",
    "primary-without-url": '{"primary": {}}',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_pin_that_cant_be_read_isnt_dropped(scripted: Joining, name: str) -> None:
    """What was kept at the first join and is damaged makes no first join of the next one: that
    takes a word here.
    """
    scripted.settings()
    kept = scripted.store / FILE_NAME
    kept.write_text(DAMAGED[name])
    with pytest.raises(NotJoined, match="--join-again"):
        scripted.settings()
    assert kept.read_text() == DAMAGED[name]
    assert scripted.settings(join_again=True).primary.url == PRIMARY
    assert scripted.settings().primary.url == PRIMARY


def test_a_pin_that_cant_be_opened_isnt_dropped(scripted: Joining) -> None:
    """Neither does one that is there and can't be opened."""
    scripted.store.mkdir()
    (scripted.store / FILE_NAME).mkdir()
    with pytest.raises(NotJoined, match="--join-again"):
        scripted.settings()


def test_nothing_is_joined_that_cant_be_pinned(
    scripted: Joining, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A first join that can't be kept is none, since the next start would be a first one again;
    later ones go on with the pin that is there, and say so.
    """
    failed: list[int] = []

    def no_room(descriptor: int) -> None:
        failed.append(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        with pytest.raises(NotJoined, match="nothing would pin the primary"):
            scripted.settings()
    assert list(scripted.store.iterdir()) == []
    before = scripted.settings()
    wish = {**SAID, "replication": {"concurrent": before.replication.concurrent + 1}}
    monkeypatch.setattr(ScriptedHub, "said", wish)
    monkeypatch.setattr(os, "fsync", no_room)
    assert scripted.settings() != before
    assert "can't be kept" in capsys.readouterr().err
    assert len(failed) == 2
    assert [each.name for each in scripted.store.iterdir()] == [FILE_NAME]


ODD: dict[str, object] = {
    "no-object": [],
    "no-primary": {},
    "primary": {"primary": "https://r.example"},
    "primary-without-url": {"primary": {"url": None}},
    "replica": {"primary": {"url": PRIMARY}, "replica": "eu"},
    "replication": {"primary": {"url": PRIMARY}, "replication": ["**"]},
    "backfill": {"primary": {"url": PRIMARY}, "replication": {"backfill": "all"}},
}


def test_what_hasnt_changed_isnt_written_again(
    scripted: Joining, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub is asked at each reconnection: the end of its log, which moves, is kept by others."""
    kept = scripted.store / FILE_NAME
    scripted.settings()
    monkeypatch.setattr(ScriptedHub, "said", {**SAID, "head": 2})
    scripted.settings()
    assert json.loads(kept.read_text()) == SAID
    wish = {**SAID, "head": 3, "replication": {"concurrent": 3}}
    monkeypatch.setattr(ScriptedHub, "said", wish)
    assert scripted.settings().replication.concurrent == 3
    assert json.loads(kept.read_text()) == wish


@pytest.mark.parametrize("name", ODD)
def test_an_answer_of_another_shape_joins_nothing(
    scripted: Joining, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be read as a hub's words isn't kept, and is said in one line."""
    monkeypatch.setattr(ScriptedHub, "said", ODD[name])
    with pytest.raises(NotJoined, match="can't be joined"):
        scripted.settings()
    assert not scripted.store.exists()


def test_after_the_first_join_the_last_words_count_instead(
    scripted: Joining, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replica that joined once goes on with what was kept, which stays as it is."""
    before = scripted.settings()
    monkeypatch.setattr(ScriptedHub, "said", ODD["replication"])
    assert scripted.settings() == before
    assert "replication is no object" in capsys.readouterr().err
    assert json.loads((scripted.store / FILE_NAME).read_text()) == SAID
