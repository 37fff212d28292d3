"""The kinds of content a replica has to carry, for tests that go through all of them."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from tests.support import images
from tests.support.images import Manifest


class ByContainerd(enum.Enum):
    """What containerd 1.6 can do with a kind, whichever registry it comes from."""

    PULL = "pulls and unpacks it"
    FETCH = "fetches its content"
    NOTHING = "refuses it"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of content: a builder (same seed, same bytes), and which clients take it."""

    name: str
    build: Callable[[str], Manifest]
    by_containerd: ByContainerd = ByContainerd.PULL
    by_skopeo: bool = True

    def __str__(self) -> str:
        return self.name


def _sha512_layers(seed: str) -> Manifest:
    return images.oci_image(seed, layers=images.small_layers(seed, "sha512"))


KINDS = (
    Kind("oci-image", images.oci_image),
    Kind("oci-index", images.multi_platform),
    Kind("oci-nested-index", images.nested_index, by_skopeo=False),
    Kind("oci-sparse-index", images.sparse_index, by_skopeo=False),
    Kind("oci-artifact", images.oci_artifact, ByContainerd.FETCH),
    Kind("docker-image", images.docker_image),
    Kind("docker-manifest-list", images.docker_multi_platform),
    Kind("oci-image-sha512-layers", _sha512_layers, ByContainerd.NOTHING, by_skopeo=False),
)
