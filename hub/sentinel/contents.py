"""What the sentinel pushes: one of some tiny images, each of which has a digest of its own.

The same ones come back after about a day and a half of pushes every 30 s, so that the primary keeps
no more than that many. A notification that is late by less can't be taken for one of a later push.
"""

import json
from dataclasses import dataclass
from typing import Final

from proxy.oci.digest import Digest

DIFFERENT: Final = 4_096
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
EMPTY: Final = b"{}"
EMPTY_DIGEST: Final = Digest.of(EMPTY)
_EMPTY_DESCRIPTOR: Final = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": str(EMPTY_DIGEST),
    "size": len(EMPTY),
}


@dataclass(frozen=True, slots=True)
class Content:
    """A manifest; its config and only layer are `EMPTY` (image-spec, "Guidance for an empty
    descriptor").
    """

    body: bytes
    digest: Digest


def content(number: int) -> Content:
    """Give the content of a push; *number* goes up by one from push to push."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": "application/vnd.proxima.sentinel.v1",
        "config": _EMPTY_DESCRIPTOR,
        "layers": [_EMPTY_DESCRIPTOR],
        "annotations": {"io.proxima.sentinel": str(number % DIFFERENT)},
    }
    body = json.dumps(manifest, separators=(",", ":")).encode()
    return Content(body, Digest.of(body))
