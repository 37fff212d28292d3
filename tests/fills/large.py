"""An image with one large layer, which its manifest announces.

A module that uses `layer` and `path` says with a fixture `image` which one it is.
"""

import pytest

from tests.fills.calls import blob_path, manifest_path
from tests.support import images
from tests.support.hostile import HostileUpstream
from tests.support.layers import Blob
from tests.support.registry_client import RegistryClient


def large_image(size: int) -> images.Manifest:
    """Give an image whose second blob is a layer of *size* bytes."""
    return images.oci_image(f"large-{size}", layers=[images.random_layer(size)])


@pytest.fixture
def layer(upstream: HostileUpstream, image: images.Manifest) -> Blob:
    """The large layer, at the primary."""
    upstream.contents.add("app", image, "v1")
    return image.blobs[1]


@pytest.fixture
def path(layer: Blob) -> str:
    return blob_path("app", layer.digest)


def tell(url: str) -> RegistryClient:
    """Give a client of a replica that was told by the manifest how large the layer is."""
    client = RegistryClient(url)
    client.get(manifest_path("app", "v1")).expect(200)
    return client
