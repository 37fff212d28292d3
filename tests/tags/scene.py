"""What tests of tags share: one repository, one tag, and two images that it may name."""

from tests.fills.calls import manifest_path
from tests.fills.in_process import InProcess
from tests.support.hostile import HostileUpstream
from tests.support.images import Manifest, oci_image
from tests.support.registry_client import Reply

TAG = manifest_path("app", "v1")
TTL_SECONDS = 60.0
OLD = oci_image("old")
NEW = oci_image("new")
STALE = '110 - "Response is Stale"'


def name(upstream: HostileUpstream, image: Manifest, tag: str = "v1") -> None:
    """Let the primary's tag name *image*."""
    upstream.contents.add("app", image, tag)


def known(upstream: HostileUpstream, replica: InProcess) -> None:
    """Let the tag name the old image, there and here, and grow too old to be taken as current."""
    name(upstream, OLD)
    pulled(replica, OLD)
    replica.clock.advance(TTL_SECONDS)


def pulled(replica: InProcess, image: Manifest) -> Reply:
    """Pull the tag, check that *image* comes, and give the answer."""
    reply = replica.client.get(TAG).expect(200)
    assert reply.header("Docker-Content-Digest") == image.digest
    assert reply.body == image.data
    return reply


def is_stale(reply: Reply) -> bool:
    return reply.header("Warning") == STALE


def by_digest(image: Manifest) -> str:
    return manifest_path("app", image.digest)
