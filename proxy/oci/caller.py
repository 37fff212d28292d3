"""Who asks: an opaque name for a credential, never the credential itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """An identity: the HMAC of a credential, so safe to compare, keep and log.

    Two callers are the same exactly if they present the same credential.
    """

    key: str

    def __str__(self) -> str:
        return self.key[:12]


ANONYMOUS = Caller("anonymous")
"""Nobody in particular: an identity too, with rights of its own at an open primary."""

REPLICA = Caller("replica")
"""This replica itself: its own read-only identity at the primary, else nobody in particular."""
