"""The texts that several wire forms have."""

from typing import Annotated

from hub.wire.limits import Limits

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"

RepositoryName = Annotated[
    str,
    Limits(
        pattern=rf"^{_COMPONENT}(?:/{_COMPONENT})*$",
        max_characters=255,
        about="the name of a repository",
    ),
]
TagName = Annotated[
    str, Limits(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", max_characters=128, about="a tag")
]
DigestText = Annotated[
    str,
    Limits(
        pattern=r"^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$", about="a digest, sha256:<64 hex>"
    ),
]
RegionName = Annotated[
    str,
    Limits(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        max_characters=63,
        about="the name of a region",
    ),
]
RepositoryPattern = Annotated[
    str,
    Limits(
        pattern=r"^[a-z0-9._*-]+(?:/[a-z0-9._*-]+)*$",
        max_characters=255,
        about="a pattern of repositories: `*` within a component, `**` across",
    ),
]
TagPattern = Annotated[
    str, Limits(pattern=r"^[A-Za-z0-9._*-]{1,128}$", max_characters=128, about="a pattern of tags")
]
PlatformText = Annotated[
    str,
    Limits(
        pattern=r"^[a-z0-9_.-]+/[a-z0-9_.-]+(?:/[a-z0-9_.-]+)?$",
        max_characters=128,
        about="a platform like linux/amd64",
    ),
]
Told = Annotated[str, Limits(is_cleaned=True)]
"""Text for people; cut and escaped rather than refused."""
Instant = Annotated[float, Limits(maximum=1e11, about="seconds since 1970")]
Seconds = Annotated[float, Limits(about="seconds")]
