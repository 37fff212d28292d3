"""How a hub starts, or says why it doesn't; and its verbs."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from tests.hub.place import (
    ADMIN_TOKEN,
    SECRETS,
    SENDER,
    SENDER_SECRET,
    pushed,
    running_hub,
)
from tests.hub.process import hub_process
from tests.support.certificates import Authority
from tests.support.command_line import Proxima, proxima

__all__ = ["proxima"]

PLACE = ("--listen", "127.0.0.1:0", "--primary", "http://127.0.0.1:9")


def argv(tmp_path: Path, *more: str) -> tuple[str, ...]:
    return ("hub", *more, *PLACE, "--database", f"sqlite:///{tmp_path / 'hub.db'}")


@pytest.fixture
def secrets(proxima: Proxima, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment with the secrets of a good hub; a test spoils it."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_good_settings(proxima: Proxima, secrets: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`check-config` finds nothing wrong with settings that a hub starts with."""
    found = proxima(*argv(tmp_path, "check-config"))
    assert (found.status, found.output) == (0, "The settings are good.\n")


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("changeme", "8 characters"),
        ("changemechangemechangeme", "default"),
        ("my-secret-password", "default"),
        ("a" * 40, "few of its characters"),
        ("0123456789abcde", "15 characters"),
        ("a text that has spaces and is long", "a header"),
    ],
)
def test_weak_secrets_are_refused(
    proxima: Proxima,
    secrets: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    value: str,
    fault: str,
) -> None:
    """A hub doesn't start with a secret that could be guessed, and doesn't print it."""
    secrets.setenv(name, value)
    for verb in ((), ("check-config",)):
        found = proxima(*argv(tmp_path, *verb))
        assert found.status != 0
        assert fault in found.errors
        assert value not in found.output + found.errors


@pytest.mark.parametrize("name", ["PROXIMA_HUB_RECEIVING__SECRET", "PROXIMA_HUB_ADMIN__TOKEN"])
def test_missing_secrets_are_named(
    proxima: Proxima, secrets: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """A hub doesn't start without a secret; empty is as good as absent."""
    secrets.delenv(name)
    assert "expected a file with a secret" in proxima(*argv(tmp_path)).errors
    secrets.setenv(name, "")
    assert proxima(*argv(tmp_path)).status == 2


@pytest.mark.parametrize(
    ("address", "is_good"),
    [("127.0.0.1:0", True), ("[::1]:0", True), ("0.0.0.0:0", False), ("192.0.2.1:1", False)],
)
def test_an_open_address_needs_tls(
    proxima: Proxima, secrets: pytest.MonkeyPatch, tmp_path: Path, address: str, is_good: bool
) -> None:
    """Tokens never cross a network as text: without TLS the API is on loopback alone."""
    found = proxima(*argv(tmp_path, "check-config"), "--listen", f"127.0.0.1:0,{address}")
    assert (found.status == 0) == is_good
    assert ("tls.certificate" in found.errors) != is_good


async def test_tls(tmp_path: Path, authority: Authority) -> None:
    """With a certificate the API speaks TLS, and nothing else."""
    files = authority.issue("127.0.0.1")
    given = {"tls__certificate": str(files.certificate), "tls__key": str(files.key)}
    async with running_hub(tmp_path, **given) as place:
        url = place.url.replace("http:", "https:") + "/notifications"
        context: ssl.SSLContext = authority.client_context()
        async with place.http.post(url, json=pushed("v1"), headers=SENDER, ssl=context) as answer:
            assert answer.status == 202
        with pytest.raises(aiohttp.ClientError):
            await place.post(pushed("v2"))


@pytest.mark.parametrize(
    ("environment", "status"),
    [({**SECRETS, "PROXIMA_HUB_ADMIN__TOKEN": "changeme"}, 1), ({}, 2)],
)
def test_a_process_that_may_not_start_ends(
    tmp_path: Path, environment: Mapping[str, str], status: int
) -> None:
    """What is wrong is told, and nothing listens or is written."""
    with hub_process(tmp_path) as hub:
        assert hub.launch(environment).wait() == status
        assert "proxima: " in hub.said()
        assert not hub.database.exists()


def test_two_hubs_on_one_database(tmp_path: Path) -> None:
    """The second one ends and says why; the first goes on."""
    folder = tmp_path / "other"
    folder.mkdir()
    with hub_process(tmp_path) as hub, hub_process(folder, hub.database) as other:
        hub.start()
        assert other.launch().wait() == 1
        assert "another process uses the database" in other.said()
        assert hub.post(pushed("v1")).status == 202


def test_parked_letters_on_the_command_line(
    proxima: Proxima, secrets: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`hub parked` lists, replays and removes, with the settings of the hub or its URL."""
    token_file = tmp_path / "token"
    token_file.write_text(f"{ADMIN_TOKEN}\n")
    with hub_process(tmp_path) as hub:
        hub.start()
        hub.post("no event")
        remote = ("--hub", f"http://{hub.api}", "--token-file", token_file)
        local = ("--config", tmp_path / "hub.toml")
        for place in (remote, local):
            listed = proxima("hub", "parked", "list", *place)
            assert listed.status == 0
            assert listed.output.startswith("1  application/json  10 B  ")
        (line,) = proxima("hub", "parked", "list", "--json", *local).events
        assert line["beginning"] == '"no event"'
        replayed = proxima("hub", "parked", "replay", "1", *remote)
        assert (replayed.status, replayed.output[:23]) == (1, "1  still not understood")
        assert proxima("hub", "parked", "remove", "1", *remote).status == 0
        again = proxima("hub", "parked", "remove", "1", *remote)
        assert again.status == 1
        assert "404 NOT_FOUND" in again.errors
        token_file.write_text(SENDER_SECRET)
        assert "401 UNAUTHORIZED" in proxima("hub", "parked", "list", *remote).errors
    assert proxima("hub", "parked", "list", *remote).status == 1


def test_a_new_epoch_on_the_command_line(
    proxima: Proxima, secrets: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`hub new-epoch` names the log anew, but not under a hub that runs."""
    first = proxima(*argv(tmp_path, "new-epoch"))
    second = proxima(*argv(tmp_path, "new-epoch"))
    assert (first.status, second.status) == (0, 0)
    assert len({first.output, second.output}) == 2
    with hub_process(tmp_path) as hub:
        hub.start()
        refused = proxima(*argv(tmp_path, "new-epoch"))
        assert (refused.status, "another process" in refused.errors) == (1, True)
