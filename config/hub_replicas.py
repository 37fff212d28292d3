"""The hub's settings about replica instances: what they are told, and what is kept of them."""

from dataclasses import dataclass

from config.choices import Backfill
from config.declare import setting, several
from config.kinds import choice, duration, integer, size, text
from config.values import ByteSize, Duration

_REGION_ID = text(r"[a-z0-9][a-z0-9._-]{0,62}=[1-9][0-9]{0,8}", "region and number", "dc-east=9001")
_REPOSITORIES = text(r"[a-z0-9._*-]+(?:/[a-z0-9._*-]+)*", "repository pattern", "team/**")
_TAGS = text(r"[A-Za-z0-9._*-]{1,128}", "tag pattern", "release-*")
_PLATFORM = text(
    r"[a-z0-9_.-]+/[a-z0-9_.-]+(?:/[a-z0-9_.-]+)?", "platform, os/architecture", "linux/amd64"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicasSettings:
    """Replica instances: where they may be, and when one counts as lost or gone."""

    regions: tuple[str, ...] = several(
        _REGION_ID,
        (),
        "Regions of your own with their numbers, beside those of `geo/data/tencent.json`.",
    )
    unreachable_after: Duration = setting(
        duration("1s", "1h"), "60s", "Time without a report after which a replica is Unreachable."
    )
    drain_limit: Duration = setting(
        duration("0s", "24h"), "10m", "Time a replica that is deleted has to say that it drained."
    )
    keep_deleted: Duration = setting(
        duration("0s", "8760h"), "24h", "Time for which a deleted replica is still listed."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationSettings:
    """What replicas copy, unless something else was said when one was made."""

    repositories: tuple[str, ...] = several(
        _REPOSITORIES, ("**",), "Repositories that are copied: `*` is within a component."
    )
    tags: tuple[str, ...] = several(_TAGS, ("**",), "Tags that are copied.")
    platforms: tuple[str, ...] = several(
        _PLATFORM, (), "Platforms of an index that are copied; none named: all."
    )
    bandwidth: ByteSize = setting(
        size("0", "1TiB"), "0", "Bytes a second that a replica's copies may take; 0: no limit."
    )
    concurrent: int = setting(integer(1, 1_000), 8, "Artifacts a replica copies at once.")
    backfill: Backfill = setting(
        choice(Backfill), "all", "What a new replica copies of what is there already."
    )
    newest: int = setting(
        integer(1, 100_000), 10, 'Tags of a repository that `backfill = "newest"` copies.'
    )
    verify_every: Duration = setting(
        duration("1s", "24h"), "60s", "Time after which a replica checks a tag behind its answer."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySettings:
    """The replication log: what became of every artifact in every region."""

    keep: Duration = setting(
        duration("1m", "8760h"), "168h", "Time an entry is kept after it last changed."
    )
    max_entries: int = setting(
        integer(1_000, 100_000_000), 1_000_000, "Entries kept; the oldest go first."
    )
    max_waiting: int = setting(
        integer(1, 100_000), 1_000, "Requests at once that wait for an artifact to be complete."
    )
