"""The hub's settings about where clients go: the regions, and which of them can serve."""

from dataclasses import dataclass
from pathlib import Path

from config.declare import optional, setting
from config.declare import secret as secret_text
from config.kinds import REPOSITORY, boolean, duration, integer, path, text, user_name
from config.values import Duration, Secret

_USER = user_name("proxima-canary")
_CANARY = text(
    rf"(?:{REPOSITORY}(?::[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}|@sha256:[0-9a-f]{{64}}))?",
    "reference",
    "proxima/canary:1",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoSettings:
    """Where clients go: the catalogue of regions, their health, and who is told of it."""

    catalogue: Path | None = optional(
        path(),
        "Catalogue of the regions, TOML (docs/geo.md); absent: nobody is sent anywhere.",
    )
    database: Path | None = optional(
        path(),
        "MaxMind DB file that locates clients for `explain`; absent: networks alone.",
    )
    reread: Duration = setting(
        duration("100ms", "1h"), "5s", "How often it is looked whether these files changed."
    )
    ttl: Duration = setting(duration("1s", "1h"), "10s", "Time for which DNS answers may be kept.")
    spread: int = setting(
        integer(1, 100), 3, "Regions over which clients of one that can't be used are spread."
    )
    probe_every: Duration = setting(
        duration("200ms", "10m"),
        "5s",
        "How often each region is probed, and what that may take.",
    )
    fall: int = setting(integer(1, 100), 2, "Probes in a row that fail before a region is down.")
    rise: int = setting(integer(1, 100), 2, "Probes in a row that pass before it is up again.")
    port: int = setting(
        integer(1, 65_535),
        443,
        "Port of the regions' addresses, where the shared domain is answered.",
    )
    tls: bool = setting(boolean(), default=True, doc="Whether they do so over TLS.")
    ca_file: Path | None = optional(
        path(), "Certificates that are trusted at the regions, PEM; absent: the system's."
    )
    canary: str = setting(
        _CANARY,
        "",
        "Small image of which every probe pulls the manifest, `repository:tag`, by the shared"
        " domain; empty: `ready` of the catalogue is all that is asked.",
    )
    canary_username: str = setting(_USER, "", "User name that may pull it; empty: anonymous.")
    canary_password_file: Path | None = optional(
        path(), "File whose content, less the line's end, is the password of `canary_username`."
    )
    canary_password: Secret | None = secret_text(
        "Password of `canary_username`, instead of `canary_password_file`."
    )
    token_file: Path | None = optional(
        path(),
        "File with the token of DNS servers, which may read `/v1/geo` and nothing else.",
        reload=True,
    )
    token: Secret | None = secret_text("The token, instead of `token_file`.")
    next_token_file: Path | None = optional(
        path(),
        "File with a second token that counts as well, for the time of a rotation.",
        reload=True,
    )
    next_token: Secret | None = secret_text("The second token, instead of `next_token_file`.")
