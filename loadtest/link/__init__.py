"""The link emulator: a TCP relay with a round trip, a rate and faults."""

from loadtest.link.relay import Link, LinkCounts, LinkSettings

__all__ = ["Link", "LinkCounts", "LinkSettings"]
