"""Settings of replication: who tells what was pushed, and what of it is copied."""

from dataclasses import dataclass
from pathlib import Path

from config.choices import ReplicationSource
from config.declare import optional, setting, several
from config.kinds import choice, duration, integer, origin, path, rate, text
from config.values import BytesPerSecond, Duration

REPOSITORIES = text(r"[a-z0-9._*-]+(?:/[a-z0-9._*-]+)*", "repository pattern", "team/**")
TAGS = text(r"[A-Za-z0-9._*-]{1,128}", "tag pattern", "release-*")
_PLATFORM = text(r"[a-z0-9_.-]+/[a-z0-9_.-]+(?:/[a-z0-9_.-]+)?", "platform", "linux/amd64")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationSettings:
    """What is copied before anybody asks, and how much of the link it may take."""

    source: ReplicationSource = setting(
        choice(ReplicationSource),
        "none",
        "Who tells what was pushed: `hub`, or the primary itself by `notifications` "
        "to `listen.notifications`.",
    )
    hub_url: str | None = optional(origin(), "URL of the hub.")
    token_file: Path | None = optional(
        path(), "File with the join token that `proxima replicas create` printed."
    )
    ca_file: Path | None = optional(
        path(), "Certificates that are trusted at the hub, PEM; absent: the system's."
    )
    repositories: tuple[str, ...] = several(
        REPOSITORIES, ("**",), "Repositories that are copied.", reload=True
    )
    tags: tuple[str, ...] = several(TAGS, ("*",), "Tags that are copied.", reload=True)
    platforms: tuple[str, ...] = several(
        _PLATFORM, (), "Platforms of images that are copied; empty: all of them.", reload=True
    )
    bandwidth: BytesPerSecond = setting(
        rate("0", "1Tbit"),
        "0",
        "What copies may take of the link, clients' fills aside; 0: all.",
        reload=True,
    )
    concurrent: int = setting(integer(1, 1_000), 16, "Images that are copied at once.")
    parts: int = setting(integer(1, 1_000), 16, "Blobs and manifests that are copied at once.")
    give_up: Duration = setting(
        duration("1m", "720h"), "24h", "Time for which a copy that fails is tried again."
    )
    keep_log: Duration = setting(
        duration("1h", "8760h"), "720h", "Time entries of the replication log are kept."
    )
