"""The settings of the hub, declared as those of a replica are."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from config.choices import LogLevel
from config.declare import optional, required, section, setting, several
from config.declare import secret as secret_text
from config.hub_geo import GeoSettings
from config.hub_replicas import HistorySettings, ReplicasSettings, ReplicationSettings
from config.kinds import (
    REPOSITORY,
    boolean,
    choice,
    duration,
    host,
    integer,
    listen_address,
    origin,
    path,
    peer_address,
    size,
    text,
    url,
    user_name,
)
from config.receiving import HubReceivingSettings
from config.settings import TlsSettings
from config.sources import OF_THE_HUB
from config.values import Address, ByteSize, Duration, Secret

_ID = text(r"[a-z0-9](?:-?[a-z0-9]+)*", "name", "registry-sg")
_REGION = text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "region", "ap-singapore")
_USER = user_name("proxima-hub")
_DATABASE = text(r"sqlite:///[^?#\x00]+", "database URL", "sqlite:////var/lib/proxima-hub/hub.db")
_REPOSITORY = text(rf"(?:{REPOSITORY})?", "repository", "proxima/sentinel")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubListenSettings:
    """Where the primary, replicas and operators reach the hub."""

    api: tuple[Address, ...] = several(
        listen_address(),
        ("127.0.0.1:8443",),
        "Addresses for notifications, replicas and operators; one that isn't a loopback address "
        "needs TLS; port 0 takes a free one.",
        at_least=1,
        flag="--listen",
    )
    ops: Address = setting(
        listen_address(), "127.0.0.1:9101", "Address of health checks and metrics."
    )
    max_connections: int = setting(
        integer(64, 1_000_000),
        8_192,
        "Connections at once, streams and waiting requests included; more are closed.",
    )
    header_timeout: Duration = setting(
        duration("1s", "60s"), "10s", "Time a request's headers, or a TLS handshake, may take."
    )
    drain_limit: Duration = setting(
        duration("0s", "1h"),
        "30s",
        "Time requests in flight have to finish after SIGTERM.",
        reload=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HubPrimarySettings:
    """The primary instance: the registry whose notifications come in."""

    id: str = setting(_ID, "primary", "Name of the primary instance; replica instances add theirs.")
    region: str = setting(_REGION, "primary", "Region of the primary.")
    domain: str | None = optional(
        host(), "Registry domain that images name; absent: the host of `url`."
    )
    url: str = required(url(), "URL of the primary, as replicas reach it.", flag="--primary")
    trusted_origins: tuple[str, ...] = several(
        origin(), (), "Origins of token realms that may see credentials, beside the primary's."
    )
    connect_to: tuple[Address, ...] = several(
        peer_address(), (), "Addresses of the primary, used instead of what DNS says."
    )
    ca_file: Path | None = optional(
        path(), "Certificates that are trusted at the primary, PEM; absent: the system's."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where the hub keeps the event log and everything else."""

    url: str = required(
        _DATABASE, "Database, made at the first start: `sqlite:///` and a path.", flag="--database"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSettings:
    """The event log."""

    keep: Duration = setting(duration("1m", "8760h"), "168h", "Time events are kept.", reload=True)
    max_events: int = setting(
        integer(1_000, 100_000_000), 1_000_000, "Events kept at most.", reload=True
    )
    dedupe_within: Duration = setting(
        duration("0s", "168h"),
        "24h",
        "Time in which an event that comes again is the same one.",
        reload=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionSettings:
    """The streams on which replicas follow the event log."""

    heartbeat: Duration = setting(
        duration("100ms", "5s"), "5s", "How often a quiet stream shows that it is alive."
    )
    buffer: ByteSize = setting(
        size("64KiB", "64MiB"),
        "1MiB",
        "Bytes that may wait for a replica; one for which more would is told from the database.",
    )
    max_streams: int = setting(integer(1, 100_000), 2_000, "Streams at once.", reload=True)
    reconnect_within: Duration = setting(
        duration("0s", "10m"),
        "30s",
        "Time over which replicas come back after a drain.",
        reload=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSettings:
    """How long a replica may take its tags as current without asking."""

    seconds: Duration = setting(
        duration("1s", "10m"), "30s", "Time a lease lasts from when it was asked for.", reload=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelSettings:
    """What proves that notifications of the primary arrive: without it no lease is given."""

    repository: str = setting(
        _REPOSITORY,
        "",
        "Repository at the primary to which the hub pushes a tiny manifest, to see its own "
        "notification come back; empty: none.",
    )
    username: str = setting(_USER, "", "User name that may push to it, and to nothing else.")
    password_file: Path | None = optional(
        path(), "File whose content, less the line's end, is the password of `username`."
    )
    password: Secret | None = secret_text("Password of `username`, instead of `password_file`.")
    every: Duration = setting(duration("100ms", "10m"), "30s", "How often it pushes.")
    limit: Duration = setting(
        duration("200ms", "1h"),
        "90s",
        "Age of the last push that came back for which leases go on.",
    )
    trust_notifications: bool = setting(
        boolean(),
        default=False,
        doc="Whether leases are given without a sentinel: for a primary that never loses one.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """Operators: bearers of a token."""

    token_file: Path | None = optional(path(), "File with the token of operators.", reload=True)
    token: Secret | None = secret_text("The token, instead of `token_file`.")
    next_token_file: Path | None = optional(
        path(),
        "File with a second token that counts as well, for the time of a rotation.",
        reload=True,
    )
    next_token: Secret | None = secret_text("The second token, instead of `next_token_file`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLogSettings:
    """What is logged."""

    level: LogLevel = setting(
        choice(LogLevel), "info", "Least important lines that are logged.", reload=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """All settings of the hub."""

    PREFIX: ClassVar[str] = OF_THE_HUB

    listen: HubListenSettings = section(HubListenSettings)
    tls: TlsSettings = section(TlsSettings)
    primary: HubPrimarySettings = section(HubPrimarySettings)
    database: DatabaseSettings = section(DatabaseSettings)
    events: EventsSettings = section(EventsSettings)
    receiving: HubReceivingSettings = section(HubReceivingSettings)
    subscription: SubscriptionSettings = section(SubscriptionSettings)
    lease: LeaseSettings = section(LeaseSettings)
    sentinel: SentinelSettings = section(SentinelSettings)
    admin: AdminSettings = section(AdminSettings)
    replicas: ReplicasSettings = section(ReplicasSettings)
    replication: ReplicationSettings = section(ReplicationSettings)
    history: HistorySettings = section(HistorySettings)
    geo: GeoSettings = section(GeoSettings)
    log: HubLogSettings = section(HubLogSettings)
