"""Origins: where requests and credentials may go, and nowhere else.

Two checks stand in a row. The name: scheme, host and port of a URL must be one the settings name.
The address: what that name resolves to must not be loopback, link-local, unspecified or
multicast, unless the settings name that very address (DNS rebinding; go-containerregistry 2440).
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from proxy.oci.errors import UntrustedOrigin

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host (lower case, IPv6 without brackets) and port of a URL."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Give the origin of an absolute URL.

        Raises: ValueError: not an http or https URL with a host, or one with user info.
        """
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if parts.scheme not in _DEFAULT_PORTS or not host or port == 0 or "@" in parts.netloc:
            raise ValueError(f"not an http or https URL: {url[:200]!r}")
        return cls(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme])

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it isn't the scheme's own."""
        host = bracketed(self.host)
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def default_port(scheme: str) -> int:
    """Give the port that a URL of http or https means without saying it."""
    return _DEFAULT_PORTS[scheme]


def bracketed(host: str) -> str:
    """Give a host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


class TrustedOrigins:
    """A closed set of origins, with the name of the setting that would open it."""

    def __init__(self, origins: Iterable[Origin], setting: str) -> None:
        self._setting = setting
        self.become(origins)

    def become(self, origins: Iterable[Origin]) -> None:
        """Name these origins from now on, and no others."""
        self._origins = frozenset(origins)

    def check(self, url: str) -> Origin:
        """Give the origin of *url* if it may be spoken to.

        Raises: UntrustedOrigin: names the origin and the setting.
        """
        try:
            origin = Origin.of(url)
        except ValueError as exc:
            raise UntrustedOrigin(
                f"the primary points to no plain URL, so {self._setting} can't name it"
            ) from exc
        if origin not in self._origins:
            raise UntrustedOrigin(
                f"the primary points to {str(origin)[:120]}, which {self._setting} does not name"
            )
        return origin


class AddressPolicy:
    """Which resolved addresses may be connected to."""

    def __init__(self, configured_hosts: Iterable[str]) -> None:
        self.become(configured_hosts)

    def become(self, configured_hosts: Iterable[str]) -> None:
        """Go by these hosts from now on."""
        hosts = frozenset(configured_hosts)
        self._literals = {parsed for host in hosts if (parsed := _literal(host)) is not None}
        self._is_localhost_named = "localhost" in hosts

    def allows(self, address: str) -> bool:
        """Say whether *address*, a literal, may be connected to."""
        parsed = _literal(address)
        if parsed is None:
            return False
        if parsed in self._literals:
            return True
        if parsed.is_loopback:
            return self._is_localhost_named
        return not (parsed.is_link_local or parsed.is_unspecified or parsed.is_multicast)


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
