"""Debian's ``docker-registry`` as a primary: open, with htpasswd or tokens, plain or TLS."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import bcrypt

from tests.support.accounts import Credentials
from tests.support.certificates import ServerFiles
from tests.support.namespaces import Host
from tests.support.ports import LOOPBACK, address_of, answers, claimed_port
from tests.support.processes import Program, Service, serving
from tests.support.token_server import TokenServer

PROGRAM = "docker-registry"
HTPASSWD_REALM = "tests"
HTTPS_PORT = 443

_ACCESS_LINE = re.compile(
    r'^\S+ \S+ \S+ \[[^\]]+\] "(\S+) (\S+) [^"]+" (\d{3}) (\d+) ', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Open:
    """Everyone may do everything."""


@dataclass(frozen=True, slots=True)
class Htpasswd:
    """Everyone with a password of the file may do everything."""

    users: tuple[Credentials, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """Who has a token of *server* may do what it says; *realm*: where clients are sent for it."""

    server: TokenServer
    realm: str | None = None


Access = Open | Htpasswd | Token


@dataclass(frozen=True, slots=True)
class AccessLine:
    """One line of the access log; written when the answer is out."""

    method: str
    target: str
    status: int
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry; stopped and started on the same port for outages."""

    scheme: str
    host: str
    port: int
    storage: Path
    log: Path
    access_log: Path
    service: Service

    @property
    def address(self) -> str:
        return address_of(self.host, self.port)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    def stop(self) -> None:
        """Refuse connections from here on."""
        self.service.stop()

    def start(self) -> None:
        """Answer again, with the same content."""
        self.service.start()

    def wipe(self) -> None:
        """Remove all content of a registry that is stopped."""
        shutil.rmtree(self.storage, ignore_errors=True)

    def access_lines(self) -> list[AccessLine]:
        """Give every request answered so far (one under way is missing; a relay sees it)."""
        found = _ACCESS_LINE.findall(self.access_log.read_text("utf-8", "replace"))
        return [AccessLine(m, target, int(status), int(size)) for m, target, status, size in found]

    def access_log_requests(self) -> Counter[tuple[str, str]]:
        """Count the requests answered so far by method and path."""
        return Counter((line.method, line.target.partition("?")[0]) for line in self.access_lines())


@contextmanager
def docker_registry(
    folder: Path,
    access: Access | None = None,
    *,
    tls: ServerFiles | None = None,
    proxy_of: str | None = None,
    notify: Sequence[str] = (),
    notify_with: Mapping[str, str] | None = None,
    trusting: Path | None = None,
    host: str | Host = LOOPBACK,
) -> Iterator[Registry]:
    """Run a registry with its files in *folder* for the length of the block.

    proxy_of: URL of a registry that this one mirrors (Distribution's own proxy mode).
    notify:   URLs that get its notifications, with the headers of notify_with.
    trusting: certificates that it trusts there.
    host:     address at which it listens, or a host of its own, where it has port 443.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _place(host) as (address, port):
        settings = _settings(folder, address_of(address, port), tls, proxy_of)
        settings |= _notifications(notify, notify_with or {})
        settings |= _access_settings(folder, access or Open())
        program = _program(folder, settings, host, trusting)
        with serving(program, port, address, _question(host, port)) as service:
            yield Registry(
                "https" if tls else "http",
                address,
                port,
                folder / "storage",
                program.log,
                folder / "access.log",
                service,
            )


@contextmanager
def _place(host: str | Host) -> Iterator[tuple[str, int]]:
    """Give address and port."""
    if isinstance(host, Host):
        yield host.address, HTTPS_PORT
    else:
        with claimed_port() as port:
            yield host, port


def _question(host: str | Host, port: int) -> Callable[[], bool]:
    """Give whether it listens, asked from where it can be reached."""
    if isinstance(host, Host):
        return lambda: host.inside(lambda: answers(host.address, port))
    return lambda: answers(host, port)


def _program(
    folder: Path, settings: dict[str, Any], host: str | Host, trusting: Path | None
) -> Program:
    path = folder / "config.yml"
    path.write_text(json.dumps(settings, indent=1))  # JSON is YAML
    argv = [PROGRAM, "serve", str(path)]
    return Program(
        tuple(host.command(argv) if isinstance(host, Host) else argv),
        log=folder / "registry.log",
        output=folder / "access.log",
        environment={"SSL_CERT_FILE": str(trusting)} if trusting else None,
    )


def _settings(
    folder: Path,
    address: str,
    tls: ServerFiles | None,
    proxy_of: str | None,
) -> dict[str, Any]:
    http: dict[str, Any] = {"addr": address, "secret": "of the tests"}
    if tls:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    settings: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "info", "fields": {"service": "primary"}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "storage")},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": http,
        "compatibility": {"schema1": {"enabled": True}},
    }
    if proxy_of:
        settings["proxy"] = {"remoteurl": proxy_of}
    return settings


def _notifications(urls: Sequence[str], headers: Mapping[str, str]) -> dict[str, Any]:
    endpoints = [
        {
            "name": f"endpoint{index}",
            "url": url,
            "headers": {name: [value] for name, value in headers.items()},
            "timeout": "2s",
            "threshold": 3,
            "backoff": "100ms",
        }
        for index, url in enumerate(urls)
    ]
    return {"notifications": {"endpoints": endpoints}} if endpoints else {}


def _access_settings(folder: Path, access: Access) -> dict[str, Any]:
    match access:
        case Open():
            return {}
        case Htpasswd(users):
            path = _write_htpasswd(folder / "htpasswd", users)
            return {"auth": {"htpasswd": {"realm": HTPASSWD_REALM, "path": str(path)}}}
        case Token(server, realm):
            return {"auth": {"token": _token_settings(server, realm)}}
        case _:
            assert_never(access)


def _token_settings(server: TokenServer, realm: str | None) -> dict[str, str]:
    return {
        "realm": realm or server.realm,
        "service": server.service,
        "issuer": server.issuer,
        "rootcertbundle": str(server.signer.bundle),
    }


def _write_htpasswd(path: Path, users: Sequence[Credentials]) -> Path:
    path.write_text("".join(f"{user.username}:{_bcrypt(user.password)}\n" for user in users))
    return path


def _bcrypt(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
