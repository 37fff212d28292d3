"""The settings of a replica: each field declares its type, default, limits and doc line, once.

Durations are seconds and sizes bytes, whatever the unit they were written in. Paths are kept as
written: a relative one starts at the working directory of the process.
"""

from dataclasses import dataclass
from pathlib import Path

from config.choices import Freshness, LogLevel, OtherPaths, PublicScheme
from config.declare import optional, required, secret, section, setting, several, tables
from config.kinds import (
    boolean,
    choice,
    duration,
    host,
    integer,
    ip,
    listen_address,
    network,
    origin,
    path,
    peer_address,
    size,
    text,
    url,
    user_name,
)
from config.receiving import ReceivingSettings
from config.replication import REPOSITORIES, TAGS, ReplicationSettings
from config.values import Address, ByteSize, Duration, Network, Secret

_REGION = text(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,62})?", "name", "ap-singapore")
_USER = user_name("replica-reader")
_PREFIX = text(r"(?:/(?!\.{1,2}/)[A-Za-z0-9._~-]+)+/", "path prefix", "/uploads/")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """Where clients and operators reach the replica."""

    registry: tuple[Address, ...] = several(
        listen_address(),
        ("127.0.0.1:5001",),
        "Addresses on which clients pull and push; port 0 takes a free one.",
        at_least=1,
        flag="--listen",
    )
    ops: Address = setting(
        listen_address(), "127.0.0.1:9100", "Address of health checks and metrics."
    )
    notifications: tuple[Address, ...] = several(
        listen_address(),
        (),
        "Addresses on which the primary's notifications are taken, where there is no hub; one that "
        "isn't a loopback address needs TLS.",
    )
    proxy_protocol: bool = setting(
        boolean(),
        default=False,
        doc="Whether every connection to `registry` comes from a proxy in "
        "`access.trusted_proxies` and begins with a PROXY protocol header, version 1 or 2.",
    )
    names: tuple[str, ...] = several(
        host(),
        (),
        "Hosts by which clients may address the replica, without a port on any port; when empty: "
        "the primary's host, the addresses listened on, and localhost if one of them is loopback.",
    )
    public_scheme: PublicScheme = setting(
        choice(PublicScheme),
        "",
        "Scheme of the URLs clients are given; empty: what the listener itself speaks.",
    )
    backlog: int = setting(
        integer(1, 65_535), 4096, "Connections that may wait to be accepted, for each address."
    )
    header_timeout: Duration = setting(
        duration("100ms", "10m"), "10s", "Time a client has for the header of a request."
    )
    idle_timeout: Duration = setting(
        duration("100ms", "1h"), "75s", "Time a connection may stay open without a request."
    )
    write_timeout: Duration = setting(
        duration("100ms", "1h"), "60s", "Time after which a client that takes no byte is cut."
    )
    drain_limit: Duration = setting(
        duration("0s", "1h"),
        "300s",
        "Time requests in flight have to finish after SIGTERM.",
        reload=True,
    )
    other_paths: OtherPaths = setting(
        choice(OtherPaths),
        "refuse",
        "What a path that isn't the registry's gets: an error, or a redirect to the primary.",
    )
    max_connections: int = setting(integer(1, 1_000_000), 10_000, "Connections of clients at once.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """TLS towards clients: certificate and key together, or plain HTTP."""

    certificate: Path | None = optional(path(), "Certificate chain, PEM.")
    key: Path | None = optional(path(), "Private key of the certificate, PEM.")
    reread: Duration = setting(
        duration("100ms", "24h"), "10s", "How often the two files are looked at for a change."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimarySettings:
    """The registry that takes the pushes, and the private link to it."""

    url: str = required(
        url(), "URL of the primary, by the name that clients use for it.", flag="--primary"
    )
    connect_to: tuple[Address, ...] = several(
        peer_address(),
        (),
        "Addresses of the private link, tried in turn instead of what DNS says; "
        "the URL's host stays the name in requests and in TLS.",
    )
    nameservers: tuple[str, ...] = several(
        ip(),
        (),
        "DNS servers for every name that `connect_to` doesn't answer; empty: the system's.",
    )
    ca_file: Path | None = optional(
        path(), "Certificates that are trusted at the primary, PEM; absent: the system's."
    )
    username: str = setting(_USER, "", "User name of the replica's own read-only identity.")
    password_file: Path | None = optional(
        path(), "File whose content, less the line's end, is the password of `username`."
    )
    password: Secret | None = secret("Password of `username`, instead of `password_file`.")
    trusted_origins: tuple[str, ...] = several(
        origin(),
        (),
        "Origins of token realms that may see credentials, beside the primary's.",
        reload=True,
    )
    storage_origins: tuple[str, ...] = several(
        origin(), (), "Origins to which the primary may redirect reads of blobs.", reload=True
    )
    location_prefixes: tuple[str, ...] = several(
        _PREFIX, (), "Path prefixes outside `/v2/` that the `Location` of an upload may have."
    )
    connect_timeout: Duration = setting(
        duration("100ms", "1m"), "2s", "Time for one connection, TLS included."
    )
    read_timeout: Duration = setting(
        duration("100ms", "1h"), "30s", "Time without a byte after which a transfer is broken off."
    )
    minimum_rate: ByteSize = setting(
        size("0", "1GiB", noun="size per second"),
        "1KiB",
        "Rate, averaged over `rate_window`, below which a transfer is broken off.",
    )
    rate_window: Duration = setting(
        duration("1s", "1h"), "60s", "Time over which `minimum_rate` is averaged."
    )
    max_connections: int = setting(integer(1, 65_535), 256, "Connections to the primary at once.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where the replica keeps what it has."""

    root: Path = required(
        path("/var/lib/proxima"), "Folder of the store, on one file system.", flag="--store"
    )
    capacity: ByteSize = setting(
        size("0", "1024TiB"),
        "0",
        "Bytes of contents that may be kept, fills under way included; 0: no limit.",
    )
    min_free: ByteSize = setting(
        size("0", "1024TiB"), "0", "Bytes of the file system that stay free; 0: no limit."
    )
    tee_budget: ByteSize = setting(
        size("0", "1024TiB"), "10GiB", "Bytes of running uploads that are kept on their way."
    )
    manifest_cache: ByteSize = setting(
        size("0", "64GiB"), "64MiB", "Memory for often pulled manifests and small blobs."
    )
    scrub_within: Duration = setting(
        duration("0s", "8760h"),
        "720h",
        "Time within which every content is read and hashed once more, behind everything else; "
        "0s: never.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FillSettings:
    """How missing content is brought from the primary."""

    max_concurrent: int = setting(integer(1, 10_000), 64, "Fills at once.")
    max_orphans: int = setting(
        integer(0, 10_000), 16, "Fills that go on at once after their last client has left."
    )
    connections: int = setting(
        integer(1, 64),
        16,
        "Connections that one fill may use where one doesn't use the link; 1: never more than one.",
    )
    max_uncached: int = setting(
        integer(0, 10_000), 64, "Downloads at once past a store that can't take the blob."
    )
    unverified_ranges: bool = setting(
        boolean(),
        default=True,
        doc="Whether a range that ends before the blob does may go out unverified.",
    )
    tail: ByteSize = setting(
        size("1KiB", "16MiB"), "64KiB", "Bytes at a blob's end held back until the digest agrees."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Who may pull, and how long that is known."""

    ttl: Duration = setting(
        duration("1s", "1h"),
        "60s",
        "Time after which the primary is asked again about a right.",
        reload=True,
    )
    outage_grace: Duration = setting(
        duration("0s", "720h"),
        "24h",
        "Time since the primary's last yes for which it still counts while the primary is away.",
        reload=True,
    )
    token_lifetime: Duration = setting(
        duration("60s", "1h"), "5m", "Time a pull token of ours is valid."
    )
    networks: tuple[Network, ...] = several(
        network(),
        (),
        "Networks whose clients are served, beside those that a hub links to the region; where "
        "there are neither, all are.",
        reload=True,
    )
    trusted_proxies: tuple[Network, ...] = several(
        network(),
        (),
        "Networks of proxies that are believed about whom they speak for.",
        reload=True,
    )
    max_decisions: int = setting(integer(1_000, 10_000_000), 100_000, "Rights remembered at once.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TagPolicy:
    """What keeps the tags that match a pattern current."""

    repositories: str = required(
        REPOSITORIES, "Repositories it is for: `*` is within a path component, `**` across."
    )
    tags: str = setting(TAGS, "*", "Tags it is for.")
    freshness: Freshness = setting(
        choice(Freshness),
        "event",
        "What keeps them current: events where there are any, `tags.ttl`, a check at each pull, "
        "or nothing.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TagsSettings:
    """How long a tag's digest is taken as current."""

    ttl: Duration = setting(
        duration("0s", "24h"),
        "60s",
        "Time after which a tag is checked at the primary.",
        reload=True,
    )
    stale_limit: Duration = setting(
        duration("0s", "8760h"),
        "24h",
        "Time since the last check for which a tag is answered while the primary is away.",
        reload=True,
    )
    verify_every: Duration = setting(
        duration("1s", "24h"),
        "60s",
        "Time after which a tag that events keep current is checked behind the answer.",
        reload=True,
    )
    idle_verify: Duration = setting(
        duration("1s", "24h"),
        "10m",
        "Time after which such a tag is checked before the answer: how old one may be whose event "
        "was lost.",
        reload=True,
    )
    policies: tuple[TagPolicy, ...] = tables(
        TagPolicy,
        "Rules by pattern: the first that matches counts, `event` where none does.",
        reload=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged."""

    level: LogLevel = setting(
        choice(LogLevel), "info", "Least important lines that are logged.", reload=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a replica."""

    region: str = setting(_REGION, "", "Name of this region, in logs and metrics.")
    listen: ListenSettings = section(ListenSettings)
    tls: TlsSettings = section(TlsSettings)
    primary: PrimarySettings = section(PrimarySettings)
    store: StoreSettings = section(StoreSettings)
    fill: FillSettings = section(FillSettings)
    access: AccessSettings = section(AccessSettings)
    tags: TagsSettings = section(TagsSettings)
    replication: ReplicationSettings = section(ReplicationSettings)
    receiving: ReceivingSettings = section(ReceivingSettings)
    log: LogSettings = section(LogSettings)
