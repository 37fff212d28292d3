"""Settings that are one of a few words."""

from enum import StrEnum


class PublicScheme(StrEnum):
    """The scheme in the URLs we hand to clients."""

    OF_LISTENER = ""
    HTTP = "http"
    HTTPS = "https"


class OtherPaths(StrEnum):
    """What a request outside the registry's paths gets."""

    REFUSE = "refuse"
    REDIRECT = "redirect"


class Freshness(StrEnum):
    """What keeps a tag current."""

    EVENT = "event"
    TTL = "ttl"
    ALWAYS = "always"
    NEVER = "never"


class LogLevel(StrEnum):
    """The least important lines that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ReplicationSource(StrEnum):
    """Who tells a replica what was pushed."""

    NONE = "none"
    HUB = "hub"
    NOTIFICATIONS = "notifications"


class Backfill(StrEnum):
    """What a new replica copies of what is there already."""

    ALL = "all"
    NEWEST = "newest"
    NONE = "none"
