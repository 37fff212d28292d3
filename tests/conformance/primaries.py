"""The kinds of primary that the suite runs at, each made afresh as often as a test wants."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.place import NAMESPACE
from tests.support.accounts import Accounts, Credentials, Grant
from tests.support.hostile import BasicLogin, Settings, TokenLogin, hostile_upstream
from tests.support.registries import Access, Htpasswd, Open, Token, docker_registry
from tests.support.registry_client import RegistryClient
from tests.support.token_server import token_server
from tests.support.toml import Section


@dataclass(frozen=True, slots=True)
class Primary:
    """A running primary: who may use it, and what a replica has to know of it."""

    url: str
    credentials: Credentials | None = None
    trusted_origins: tuple[str, ...] = ()

    @property
    def client(self) -> RegistryClient:
        """A new client that is logged in."""
        return RegistryClient(self.url, self.credentials)

    @property
    def section(self) -> Section:
        """The section of a replica's settings."""
        return {"url": self.url, "trusted_origins": list(self.trusted_origins)}


Maker = Callable[[Path], AbstractContextManager[Primary]]


def _accounts() -> tuple[Accounts, Credentials]:
    accounts = Accounts()
    return accounts, accounts.add("tester", "tester's secret", Grant(f"{NAMESPACE}/*"))


@contextmanager
def distribution_open(folder: Path) -> Iterator[Primary]:
    """docker-registry for everybody."""
    with docker_registry(folder, Open()) as registry:
        yield Primary(registry.url)


@contextmanager
def distribution_htpasswd(folder: Path) -> Iterator[Primary]:
    """docker-registry with passwords."""
    _, tester = _accounts()
    access: Access = Htpasswd((tester,))
    with docker_registry(folder, access) as registry:
        yield Primary(registry.url, tester)


@contextmanager
def distribution_token(folder: Path) -> Iterator[Primary]:
    """docker-registry with tokens from an origin of their own."""
    accounts, tester = _accounts()
    with (
        token_server(folder / "tokens", accounts) as tokens,
        docker_registry(folder / "registry", Token(tokens)) as registry,
    ):
        yield Primary(registry.url, tester, (f"http://{tokens.address}",))


@contextmanager
def oci_basic(folder: Path) -> Iterator[Primary]:
    """All of OCI 1.1 with passwords, and lists in pages."""
    accounts, tester = _accounts()
    settings = Settings(login=BasicLogin(accounts), referrers_page=2, tags_page=4)
    with hostile_upstream(settings=settings) as upstream:
        yield Primary(upstream.url, tester)


@contextmanager
def oci_token(folder: Path) -> Iterator[Primary]:
    """All of OCI 1.1 with tokens."""
    accounts, tester = _accounts()
    with (
        token_server(folder / "tokens", accounts) as tokens,
        hostile_upstream(settings=Settings(login=TokenLogin(tokens))) as upstream,
    ):
        yield Primary(upstream.url, tester, (f"http://{tokens.address}",))


PRIMARIES: Mapping[str, Maker] = {
    "distribution-open": distribution_open,
    "distribution-htpasswd": distribution_htpasswd,
    "distribution-token": distribution_token,
    "oci-1.1-basic": oci_basic,
    "oci-1.1-token": oci_token,
}
