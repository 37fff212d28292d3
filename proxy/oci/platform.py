"""Platforms: which of an index's manifests are meant."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.oci.descriptor import Descriptor
from proxy.oci.errors import BadRequest
from proxy.oci.manifest import document_of, read_descriptor

_PLATFORM = re.compile(r"[a-z0-9_.-]+/[a-z0-9_.-]+(?:/[a-z0-9_.-]+)?")


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system, an architecture and, where it matters, its variant."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """Read `os/architecture[/variant]`.

        Raises: BadRequest.
        """
        if _PLATFORM.fullmatch(text) is None:
            raise BadRequest(f"{text} is no platform: expected one like linux/amd64")
        return cls(*text.split("/"))

    def includes(self, other: "Platform") -> bool:
        """Say whether *other* is this one; without a variant every variant is."""
        is_same = (self.os, self.architecture) == (other.os, other.architecture)
        return is_same and self.variant in ("", other.variant)


UNKNOWN = Platform("unknown", "unknown")
"""What attestations stand under, which belong to the images beside them."""


@dataclass(frozen=True, slots=True)
class Child:
    """A manifest that an index names; without a platform it says nothing about that."""

    descriptor: Descriptor
    platform: Platform | None

    def is_for(self, platforms: Sequence[Platform]) -> bool:
        """Say whether it is wanted where *platforms* are; all are where none is named."""
        platform = self.platform
        if not platforms or platform is None or platform == UNKNOWN:
            return True
        return any(each.includes(platform) for each in platforms)


def manifests_of(index: bytes) -> tuple[Child, ...]:
    """Give the manifests that an index names; entries that are no descriptors are left out.

    Raises: ManifestInvalid.
    """
    entries = document_of(index).get("manifests")
    return tuple(_children(entries if isinstance(entries, list) else []))


def _children(entries: Iterable[Any]) -> Iterable[Child]:
    for entry in entries:
        descriptor = read_descriptor(entry)
        if descriptor is not None:
            yield Child(descriptor, _platform(entry.get("platform")))


def _platform(value: object) -> Platform | None:
    match value:
        case {"os": str(system), "architecture": str(architecture), "variant": str(variant)}:
            return Platform(system, architecture, variant)
        case {"os": str(system), "architecture": str(architecture)}:
            return Platform(system, architecture)
        case _:
            return None
