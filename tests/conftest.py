"""Fixtures for tests with real programs; what they give is described in ``tests/support``."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import containerd as containerd_client
from tests.support import registries
from tests.support import skopeo as skopeo_client
from tests.support.accounts import PULL, Accounts, Credentials, Grant
from tests.support.certificates import Authority
from tests.support.fixtures import Opened, require
from tests.support.hostile import HostileUpstream, hostile_upstream
from tests.support.recording_relay import Relay, recording_relay
from tests.support.registries import Htpasswd, Registry, Token, docker_registry
from tests.support.token_server import TokenServer, token_server


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """Keep together what shares a world, under `--dist loadgroup`."""
    from tests.distribution import ByWorld  # noqa: PLC0415  # only where xdist is in use

    return ByWorld(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Gives a function that enters context managers for the length of the test."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority that clients of the tests trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def accounts() -> Accounts:
    """``admin`` may do everything, ``alice`` everything below ``alice/`` and pull ``shared/``,
    ``bob`` the same for ``bob/``; everybody may pull ``public/``.
    """
    accounts = Accounts((Grant("public/*", PULL),))
    accounts.add("admin", "admin's secret", Grant("*"))
    for name in ("alice", "bob"):
        accounts.add(name, f"{name}'s secret", Grant(f"{name}/*"), Grant("shared/*", PULL))
    return accounts


@pytest.fixture
def admin(accounts: Accounts) -> Credentials:
    return accounts.credentials_of("admin")


@pytest.fixture
def alice(accounts: Accounts) -> Credentials:
    return accounts.credentials_of("alice")


@pytest.fixture
def bob(accounts: Accounts) -> Credentials:
    return accounts.credentials_of("bob")


@pytest.fixture
def tokens(tmp_path: Path, accounts: Accounts, opened: Opened) -> TokenServer:
    """A token server for ``accounts``, on an origin of its own."""
    return opened(token_server(tmp_path / "tokens", accounts))


@pytest.fixture
def primary(tmp_path: Path, opened: Opened) -> Registry:
    """A fresh docker-registry that asks nobody for anything."""
    require(registries.PROGRAM)
    return opened(docker_registry(tmp_path / "primary"))


@pytest.fixture
def htpasswd_primary(tmp_path: Path, accounts: Accounts, opened: Opened) -> Registry:
    """A fresh docker-registry with the passwords of ``accounts``."""
    require(registries.PROGRAM)
    return opened(docker_registry(tmp_path / "htpasswd-primary", Htpasswd(accounts.credentials)))


@pytest.fixture
def token_primary(tmp_path: Path, tokens: TokenServer, opened: Opened) -> Registry:
    """A fresh docker-registry that wants tokens of ``tokens``."""
    require(registries.PROGRAM)
    return opened(docker_registry(tmp_path / "token-primary", Token(tokens)))


@pytest.fixture
def relay(primary: Registry, opened: Opened) -> Relay:
    """A recording relay before ``primary``."""
    return opened(recording_relay(primary.address))


@pytest.fixture
def upstream(opened: Opened) -> HostileUpstream:
    """A scriptable upstream, empty and healthy."""
    return opened(hostile_upstream())


@pytest.fixture
def skopeo(tmp_path: Path) -> skopeo_client.Skopeo:
    """A user of skopeo without logins."""
    require(skopeo_client.PROGRAM)
    return skopeo_client.skopeo(tmp_path / "skopeo")


@pytest.fixture(scope="session")
def containerd() -> Iterator[containerd_client.Containerd]:
    """A containerd daemon of the test process's own."""
    require(containerd_client.PROGRAM)
    require(containerd_client.CLIENT)
    if os.geteuid() != 0:
        pytest.skip("containerd needs root")
    with containerd_client.containerd() as daemon:
        yield daemon


@pytest.fixture
def node(containerd: containerd_client.Containerd) -> containerd_client.Node:
    """A node that has pulled nothing yet."""
    return containerd.node()
