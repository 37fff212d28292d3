"""Worlds of credentials: a primary with tokens or passwords, and a replica before it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.access.in_process import InProcess, in_process
from tests.access.scripted import Scripted, scripted
from tests.access.worlds import World, contents, with_passwords, with_tokens
from tests.conftest import Opened
from tests.support.accounts import PULL, Accounts, Grant
from tests.support.hostile import Answer, Settings, hostile_upstream
from tests.support.token_server import TokenServer, token_server

MakeWorld = Callable[..., World]
Sections = dict[str, dict[str, Any]]


@pytest.fixture
def token_world(accounts: Accounts, tokens: TokenServer, opened: Opened) -> MakeWorld:
    """Gives a function that makes a world with a token server elsewhere, which is trusted.

    realm: what the primary says of it, if that isn't true.
    """

    def make(realm: str | None = None, **sections: dict[str, Any]) -> World:
        return _token_world(opened, accounts, tokens, realm, sections)

    return make


@pytest.fixture
def password_world(accounts: Accounts, opened: Opened) -> MakeWorld:
    """Gives a function that makes a world with passwords, where nobody may pull without one."""

    def make(**sections: dict[str, Any]) -> World:
        accounts.anonymous = ()
        return _world(opened, accounts, with_passwords(accounts), None, sections)

    return make


@pytest.fixture
def warm_world(password_world: MakeWorld) -> World:
    """Passwords; the images of alice and of shared/ are here, pulled by the administrator."""
    world = password_world()
    admin = world.client("admin")
    for repository in ("alice/app", "shared/app"):
        world.pull(admin, repository).expect(200)
        admin.get(world.layer(repository)).expect(200)
    world.upstream.forget()
    return world


@pytest.fixture(scope="module")
def still_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with a token server that no test of a module changes."""
    accounts = Accounts((Grant("public/*", PULL),))
    for name in ("alice", "bob"):
        accounts.add(name, f"{name}'s secret", Grant(f"{name}/*"), Grant("shared/*", PULL))
    with ExitStack() as stack:
        tokens = stack.enter_context(token_server(tmp_path_factory.mktemp("tokens"), accounts))
        yield _token_world(stack.enter_context, accounts, tokens, None, {})


def _token_world(
    opened: Opened,
    accounts: Accounts,
    tokens: TokenServer,
    realm: str | None,
    sections: Sections,
) -> World:
    trusted = {"trusted_origins": (f"http://{tokens.address}",)}
    sections["primary"] = {**trusted, **sections.get("primary", {})}
    return _world(opened, accounts, with_tokens(tokens, realm), tokens, sections)


def _world(
    opened: Opened,
    accounts: Accounts,
    settings: Settings,
    tokens: TokenServer | None,
    sections: Sections,
) -> World:
    held, images = contents()
    upstream = opened(hostile_upstream(contents=held, settings=settings))
    one = opened(in_process(upstream.url, **sections))
    return World(upstream, accounts, images, one, tokens)


@dataclass(slots=True)
class Relayed:
    """A token service that answers what the test says, and a replica before its primary."""

    service: Scripted
    replica: InProcess


@pytest.fixture
def relayed(opened: Opened) -> Relayed:
    """A primary whose token service is scripted, and a replica before it."""
    service = opened(scripted())
    challenge = f'Bearer realm="{service.url}/token",service="registry.of.the.tests"'
    primary = opened(scripted(lambda _: Answer(401, (("WWW-Authenticate", challenge),))))
    one = opened(in_process(primary.url, primary={"trusted_origins": (service.url,)}))
    return Relayed(service, one)
