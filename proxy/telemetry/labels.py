"""The closed sets that metrics are labelled with: never a name, a digest or an address."""

from enum import StrEnum


class Kind(StrEnum):
    """What a request is about."""

    PING = "ping"
    TOKEN = "token"  # noqa: S105  # a kind of request, no secret
    MANIFEST = "manifest"
    BLOB = "blob"
    TAGS = "tags"
    REFERRERS = "referrers"
    CATALOG = "catalog"
    PUSH = "push"
    OTHER = "other"


class Origin(StrEnum):
    """Where the bytes of an answer came from."""

    STORE = "store"
    FILL = "fill"
    FOLLOWER = "follower"
    PRIMARY = "primary"


class Outcome(StrEnum):
    """How a request ended."""

    SERVED = "served"
    NOT_MODIFIED = "not_modified"
    ABSENT = "absent"
    UNAUTHORIZED = "unauthorized"
    DENIED = "denied"
    INVALID = "invalid"
    UNAVAILABLE = "unavailable"
    BAD_GATEWAY = "bad_gateway"
    ABORTED = "aborted"
    FAILED = "failed"


class DecisionUse(StrEnum):
    """How the question whether a caller may pull was answered."""

    KNOWN = "known"
    ASKED = "asked"
    GRACE = "grace"


class HeaderRefusal(StrEnum):
    """Why a connection was closed before its PROXY header was through."""

    UNTRUSTED = "untrusted"
    MALFORMED = "malformed"
    LATE = "late"
    LEFT = "left"


class ClientRefusal(StrEnum):
    """Why a client was turned away: not of the networks listed, or these aren't known any more."""

    OUTSIDE = "outside"
    UNKNOWN = "unknown"


class FillEnd(StrEnum):
    """How a fill ended."""

    COMMITTED = "committed"
    MISMATCH = "mismatch"
    BROKEN = "broken"
    CANCELLED = "cancelled"
    UNCACHED = "uncached"


class Told(StrEnum):
    """What became of an entry of a notification."""

    EVENT = "event"
    IGNORED = "ignored"
    PARKED = "parked"


class CopyEnd(StrEnum):
    """How one piece of replication ended."""

    COMPLETE = "complete"
    EVICTED = "evicted"
    SKIPPED = "skipped"
    FAILED = "failed"
    DEAD = "dead"


class Finding(StrEnum):
    """What a comparison with the primary found to be otherwise here."""

    MISSING = "missing"
    CHANGED = "changed"
    GONE = "gone"
    INCOMPLETE = "incomplete"


class RoundEnd(StrEnum):
    """How a comparison with the primary ended."""

    COMPLETE = "complete"
    UNREACHABLE = "unreachable"
    HELD = "held"
