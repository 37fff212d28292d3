"""Digests: the names of content."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from proxy.oci.errors import DigestInvalid


class Hasher(Protocol):
    """What hashlib's objects offer, as far as we use it."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class Algorithm(StrEnum):
    """The registered digest algorithms (image-spec, "Registered algorithms")."""

    SHA256 = "sha256"
    SHA512 = "sha512"

    def hasher(self) -> Hasher:
        """Give a fresh hash state."""
        return hashlib.sha256() if self is Algorithm.SHA256 else hashlib.sha512()


_GRAMMAR = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class Digest:
    """One digest of a supported algorithm; built by `parse` or `of`, so always well-formed."""

    algorithm: Algorithm
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `algorithm:hex`.

        Raises: DigestInvalid: another algorithm, upper case, wrong length, anything around it.
        """
        if _GRAMMAR.fullmatch(text) is None:
            raise DigestInvalid("expected sha256:<64 hex> or sha512:<128 hex>")
        algorithm, _, digits = text.partition(":")
        return cls(Algorithm(algorithm), digits)

    @classmethod
    def of(cls, data: bytes, algorithm: Algorithm = Algorithm.SHA256) -> Self:
        """Give the digest of *data*."""
        hasher = algorithm.hasher()
        hasher.update(data)
        return cls(algorithm, hasher.hexdigest())

    def matches(self, data: bytes) -> bool:
        """Say whether *data* is what this digest names."""
        return Digest.of(data, self.algorithm) == self

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
