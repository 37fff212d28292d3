"""What the demo runs: a primary, the link in front of it, and a replica behind the link."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from loadtest.address import Address
from loadtest.link import LinkSettings
from loadtest.login import Login
from loadtest.programs import Join, LinkProgram, ProgramFailed, Replica, StockRegistry
from loadtest.programs.settings import Sections, laid_over

LINK = LinkSettings(round_trip_seconds=0.040, rate_bytes_per_second=100e6)
SHARE = 8
SHARED_LINK = replace(LINK, connection_rate_bytes_per_second=100e6 / SHARE)
"""A link of which one connection gets a part."""

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Primary:
    """Where the primary is; *registry* is the program if we started it.

    *trusted_origins* are where an existing one has its tokens or its blobs, if that's elsewhere.
    """

    url: str
    repository: str
    login: Login | None
    registry: StockRegistry | None = None
    trusted_origins: tuple[str, ...] = ()

    @property
    def address(self) -> Address:
        """Its host and port.

        Raises: ProgramFailed: the URL isn't one of a registry.
        """
        parts = urlsplit(self.url)
        if parts.hostname is None or parts.scheme not in _PORTS:
            raise ProgramFailed(f"{self.url!r} is not a URL such as http://127.0.0.1:5000")
        return parts.hostname, parts.port or _PORTS[parts.scheme]

    @property
    def place(self) -> str:
        """Its host and port as images are named."""
        return urlsplit(self.url).netloc

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """Give the existing registry that DEMO_PRIMARY names, if it names one."""
        url = environment.get("DEMO_PRIMARY", "").rstrip("/")
        if not url:
            return None
        username = environment.get("DEMO_USERNAME", "")
        login = Login(username, environment.get("DEMO_PASSWORD", "")) if username else None
        repository = environment.get("DEMO_REPOSITORY", "proxima/demo")
        trusted = tuple(environment.get("DEMO_TRUSTED_ORIGINS", "").split())
        return cls(url, repository, login, trusted_origins=trusted)


@dataclass(frozen=True, slots=True)
class Region:
    """A replica and the link that it has to the primary."""

    link: LinkProgram
    replica: Replica


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that runs; *far* has a link that gives one connection a part of its rate."""

    folder: Path
    primary: Primary
    near: Region
    far: Region


@contextmanager
def running_scene(folder: Path) -> Iterator[Scene]:
    """Run primary, link and replica with their files in *folder*.

    Raises: ProgramFailed
    """
    with ExitStack() as stack:
        primary = Primary.from_environment()
        if primary is None:
            registry = stack.enter_context(
                StockRegistry(folder / "primary", name="primary", login=True)
            )
            primary = Primary(registry.url, "demo/app", registry.login, registry)
        near = replica_behind(stack, folder / "near", primary, LINK)
        far = replica_behind(stack, folder / "far", primary, SHARED_LINK)
        yield Scene(folder, primary, near, far)


def replica_behind(
    stack: ExitStack,
    folder: Path,
    primary: Primary,
    link_settings: LinkSettings,
    join: Join | None = None,
    settings: Sections | None = None,
) -> Region:
    """Run a link to the primary and a replica behind it, for as long as *stack* is open.

    One that joins a hub hears from it what its primary is.

    Raises: ProgramFailed
    """
    link = stack.enter_context(LinkProgram(primary.address, link_settings, folder))
    trusted = list(primary.trusted_origins)
    origins = {"primary": {"trusted_origins": trusted, "storage_origins": trusted}}
    replica = Replica(
        folder / "replica",
        primary=join or primary.url,
        connect_to=link.address,
        settings=laid_over(origins, settings or {}),
    )
    return Region(link, stack.enter_context(replica))
