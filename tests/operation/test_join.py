"""`proxima replica --join`: a replica that is told all it needs by a hub."""

import argparse
import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from config import Settings, load
from proxy.cli.join import FILE_NAME, NotJoined, settings_of_join
from tests.hub.place import ADMIN_TOKEN
from tests.hub.process import HubProcess, hub_process
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
    with hub_process(tmp_path, primary=primary) as made:
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

    def __init__(self, hub: HubProcess, token_file: Path, store: Path) -> None:
        self.store = store
        self._arguments = {
            "config": None,
            "join": f"http://{hub.api}",
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
    return Joining(hub, token_file, tmp_path / "store")


def test_the_hub_says_all_that_is_needed(joining: Joining) -> None:
    """Region, domain, primary, what is copied and how fast come from the hub; what it said is kept
    for the owner's eyes alone.
    """
    settings = joining.settings()
    assert settings.region == REGION
    assert settings.primary.url == PRIMARY
    assert settings.primary.trusted_origins == ("https://auth.example.com",)
    assert settings.listen.names == ("images.example.com",)
    assert settings.replication.repositories == ("shop/**",)
    assert settings.replication.bandwidth == 1_000_000
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
