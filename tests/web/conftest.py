"""Fixtures for tests of the HTTP boundary: a replica in this process over a scriptable primary."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support import images
from tests.support.hostile import HostileUpstream, hostile_upstream
from tests.support.images import Manifest
from tests.support.layers import Blob
from tests.support.registry_client import RegistryClient
from tests.web.serving import Serving, serving

REPOSITORY = "team/app"
LARGE_BYTES = 3 << 20


@dataclass(slots=True)
class Place:
    """A replica, its primary and an image there: tag `v1` of `team/app`, one layer large."""

    upstream: HostileUpstream
    served: Serving
    image: Manifest

    @property
    def manifest_path(self) -> str:
        return f"/v2/{REPOSITORY}/manifests/v1"

    @property
    def config(self) -> Blob:
        """A blob of a few hundred bytes."""
        return self.image.blobs[0]

    @property
    def layer(self) -> Blob:
        """A blob of some MiB."""
        return self.image.blobs[1]

    def add(self, content: Blob) -> Blob:
        """Put a blob into the primary's repository."""
        return self.upstream.contents.add_blob(REPOSITORY, content)

    def warm(self, content: Blob) -> Blob:
        """Let the replica have a blob."""
        assert self.client().get(blob_path(content)).expect(200).body == content.data
        return content

    def client(self) -> RegistryClient:
        return RegistryClient(self.served.url)


def blob_path(content: Blob) -> str:
    """Give where a blob is pulled."""
    return f"/v2/{REPOSITORY}/blobs/{content.digest}"


@pytest.fixture(scope="module")
def module_place() -> Iterator[Place]:
    with hostile_upstream() as upstream:
        image = images.oci_image("web", layers=[images.random_layer(LARGE_BYTES)])
        upstream.contents.add(REPOSITORY, image, "v1")
        with serving(upstream) as served:
            yield Place(upstream, served, image)


@pytest.fixture
def place(module_place: Place) -> Iterator[Place]:
    """A place that is shared by the tests of a module; the primary's record is this test's own."""
    module_place.upstream.forget()
    module_place.upstream.malformed.clear()
    yield module_place
    module_place.upstream.heal()
