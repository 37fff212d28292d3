"""The order in which contents go when room is needed: ranks, then the last use."""

from enum import IntEnum
from typing import NamedTuple

from proxy.oci.digest import Algorithm, Digest

SMALL_BYTES = 64 << 10
ALGORITHMS = (Algorithm.SHA256, Algorithm.SHA512)


class Rank(IntEnum):
    """What goes first; within a rank what was used least recently does."""

    PROBATION = 0
    """Replicated, or kept from a push, and never pulled."""
    PULLED = 1
    SMALL_PROBATION = 2
    """Manifests, configs and whatever else is small: little room, a round trip each."""
    SMALL_PULLED = 3


def rank_of(size: int, *, is_pulled: bool) -> Rank:
    """Give the rank of a content."""
    if size <= SMALL_BYTES:
        return Rank.SMALL_PULLED if is_pulled else Rank.SMALL_PROBATION
    return Rank.PULLED if is_pulled else Rank.PROBATION


Place = tuple[int, int, bytes]
BEGINNING: Place = (-1, 0, b"")


class Entry(NamedTuple):
    """One content, as its row has it; `used_at` is in milliseconds, and only good for an order."""

    key: bytes
    size: int
    rank: int
    used_at: int

    @property
    def digest(self) -> Digest:
        """Its name."""
        return digest_of(self.key)

    @property
    def place(self) -> Place:
        """Where it stands in the order of eviction."""
        return (self.rank, self.used_at, self.key)


def key_of(digest: Digest) -> bytes:
    """Give the short form that the index has of a digest."""
    return bytes((ALGORITHMS.index(digest.algorithm),)) + bytes.fromhex(digest.hex)


def digest_of(key: bytes) -> Digest:
    """Give the digest that `key_of` made short."""
    return Digest(ALGORITHMS[key[0]], key[1:].hex())
