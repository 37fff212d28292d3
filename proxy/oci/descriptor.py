"""Descriptors: type, digest and size of a piece of content."""

from dataclasses import dataclass

from proxy.oci.digest import Digest

OCTET_STREAM = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What is known of content before its bytes (image-spec, "Descriptors"). Size in bytes."""

    media_type: str
    digest: Digest
    size: int
