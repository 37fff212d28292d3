"""The settings of the process beside a DNS server, declared as those of a replica are."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from config.choices import LogLevel
from config.declare import optional, required, section, setting, several
from config.kinds import choice, duration, listen_address, path, text, url
from config.sources import OF_DNS
from config.values import Address, Duration

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = text(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})+", "domain name", "registry.example.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAccessSettings:
    """The hub whose regions and standings are followed."""

    url: str = required(url(), "URL of the hub; https, unless it is this machine.", flag="--hub")
    token_file: Path = required(
        path(), "File with the token of DNS servers, `geo.token` at the hub.", flag="--token-file"
    )
    ca_file: Path | None = optional(
        path(), "Certificates that are trusted at the hub, PEM; absent: the system's."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsListenSettings:
    """Where the DNS server and operators reach this process."""

    backend: Address = setting(
        listen_address(),
        "127.0.0.1:8053",
        "Address of the remote backend, `POST /dns`; a loopback one, port 0 takes a free one.",
    )
    ops: Address = setting(
        listen_address(), "127.0.0.1:9102", "Address of health checks and metrics."
    )
    drain_limit: Duration = setting(
        duration("0s", "1h"), "5s", "Time requests in flight have to finish after SIGTERM."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneSettings:
    """The zone that the DNS server answers for: the shared name, and what lies in it."""

    domain: str = required(
        _NAME, "Name of the zone: the shared name of the registry.", flag="--domain"
    )
    nameservers: tuple[str, ...] = several(
        _NAME,
        (),
        "Names of the zone's name servers, one or more, as its parent delegates to them.",
        at_least=1,
        flag="--nameservers",
    )
    hostmaster: str | None = optional(
        _NAME,
        "Mailbox of who cares for the zone, as SOA writes it; absent: hostmaster of `domain`.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSettings:
    """What is kept of the hub's last answer, to go on from while the hub is away."""

    file: Path = required(
        path(), "File, made at the first answer; its folder must be there.", flag="--state"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationSettings:
    """Where clients are that no network of a region holds."""

    file: Path | None = optional(path(), "MaxMind DB; absent: none, such clients get the default.")
    reread: Duration = setting(
        duration("100ms", "1h"), "60s", "How often it is looked at for a change."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsLogSettings:
    """What is logged."""

    level: LogLevel = setting(choice(LogLevel), "info", "Least important lines that are logged.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """All settings of `proxima dns serve`."""

    PREFIX: ClassVar[str] = OF_DNS

    hub: HubAccessSettings = section(HubAccessSettings)
    listen: DnsListenSettings = section(DnsListenSettings)
    zone: ZoneSettings = section(ZoneSettings)
    state: StateSettings = section(StateSettings)
    database: LocationSettings = section(LocationSettings)
    log: DnsLogSettings = section(DnsLogSettings)
