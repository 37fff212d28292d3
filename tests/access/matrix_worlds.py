"""A primary of each kind with a replica before it, for the matrix of callers and requests."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.access.in_process import InProcess, in_process
from tests.conftest import require
from tests.support import registries
from tests.support.accounts import PULL, Accounts, Credentials, Grant
from tests.support.hostile import BasicLogin, Settings, hostile_upstream
from tests.support.registries import Htpasswd, Token, docker_registry
from tests.support.token_server import token_server

ALICE, BOB, EVE = (Credentials(name, f"{name}'s secret") for name in ("alice", "bob", "eve"))


@dataclass(slots=True)
class World:
    """A primary, and addresses of it and of a replica before it. *refused*: who may not read
    ``alice/``; *tokens*: headers that let nobody in there.
    """

    direct: str
    through: str
    replica: InProcess
    refused: dict[str, Credentials | None] = field(default_factory=dict)
    tokens: dict[str, dict[str, str]] = field(default_factory=dict)


def accounts() -> Accounts:
    accounts = Accounts()
    accounts.add(ALICE.username, ALICE.password, Grant("alice/*"))
    accounts.add(BOB.username, BOB.password, Grant("bob/*"), Grant("shared/*", PULL))
    return accounts


WRONG = Credentials("alice", "wrong")


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    require(registries.PROGRAM)
    with docker_registry(folder / "primary") as primary, in_process(primary.url) as one:
        yield World(primary.url, one.url, one)


@contextmanager
def htpasswd_world(folder: Path) -> Iterator[World]:
    require(registries.PROGRAM)
    access = Htpasswd(accounts().credentials)
    with docker_registry(folder / "primary", access) as primary, in_process(primary.url) as one:
        callers = {"nobody": None, "wrong password": WRONG, "stranger": EVE}
        yield World(primary.url, one.url, one, callers)


@contextmanager
def token_world(folder: Path) -> Iterator[World]:
    require(registries.PROGRAM)
    with ExitStack() as stack:
        enter = stack.enter_context
        server = enter(token_server(folder / "tokens", accounts()))
        primary = enter(docker_registry(folder / "primary", Token(server)))
        trusted = {"trusted_origins": (f"http://{server.address}",)}
        one = enter(in_process(primary.url, primary=trusted))
        callers = {
            "nobody": None,
            "wrong password": WRONG,
            "stranger": EVE,
            "right for another": BOB,
        }
        everything = "repository:alice/app:pull,push,delete"
        late = server.issue("alice", everything, lifetime_seconds=-300)
        other = server.issue("bob", "repository:bob/app:pull,push")
        tokens = {"expired": late, "for another": other, "forged": late[:-8] + "AAAAAAAA"}
        headers = {name: {"Authorization": f"Bearer {text}"} for name, text in tokens.items()}
        yield World(primary.url, one.url, one, callers, headers)


@contextmanager
def forbidding_world(folder: Path) -> Iterator[World]:
    """Passwords with rights for each repository: refusals are 403 here."""
    settings = Settings(login=BasicLogin(accounts()), checks_blobs=False)
    with hostile_upstream(settings=settings) as upstream, in_process(upstream.url) as one:
        callers = {"nobody": None, "wrong": WRONG, "right for another": BOB}
        yield World(upstream.url, one.url, one, callers)
