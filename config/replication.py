"""Settings of replication: who tells what was pushed, and what of it is copied."""

from dataclasses import dataclass
from pathlib import Path

from config.choices import Backfill, ReplicationSource
from config.declare import optional, setting, several
from config.kinds import boolean, choice, duration, integer, origin, path, rate, text
from config.values import BytesPerSecond, Duration

REPOSITORIES = text(r"[a-z0-9._*-]+(?:/[a-z0-9._*-]+)*", "repository pattern", "team/**")
TAGS = text(r"[A-Za-z0-9._*-]{1,128}", "tag pattern", "release-*")
_NAME = text(r"[a-z0-9._-]+(?:/[a-z0-9._-]+)*", "repository", "team/app")
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
    hub_url: str | None = optional(origin(), "URL of the hub: https, or http of this machine.")
    token_file: Path | None = optional(
        path(), "File with the join token that `proxima replicas create` printed."
    )
    ca_file: Path | None = optional(
        path(), "Certificates that are trusted at the hub, PEM; absent: the system's."
    )
    repositories: tuple[str, ...] = several(
        REPOSITORIES, ("**",), "Repositories that are copied.", reload=True
    )
    excluded: tuple[str, ...] = several(
        _NAME,
        (),
        "Repositories of which nothing is ever copied, beside those that the hub names.",
        reload=True,
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
    backfill: Backfill = setting(
        choice(Backfill),
        "all",
        "What a new replica copies of what was there before it: all tags, the newest of each "
        "repository, or none.",
    )
    backfill_newest: int = setting(
        integer(1, 10_000), 10, "How many tags of each repository `newest` copies."
    )
    reconcile_every: Duration = setting(
        duration("0s", "168h"),
        "1h",
        "Time between two comparisons with the primary's catalogue and tags; 0s: only after a gap "
        "in the event log.",
        reload=True,
    )
    reconcile_rate: int = setting(
        integer(1, 10_000),
        20,
        "Requests a second that comparing and the choice of the newest tags may cost the primary.",
    )
    watch: tuple[str, ...] = several(
        _NAME,
        (),
        "Repositories that are looked at where the primary's catalogue is closed, besides those "
        "that are here.",
    )
    allow_mass_delete: bool = setting(
        boolean(),
        False,
        "Whether a comparison may remove more than 5% of the tags that are here.",
        reload=True,
    )
