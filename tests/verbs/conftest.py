"""What tests of the verbs share: a command line, a replica with images, what pulls them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Opened
from tests.fills.in_process import InProcess, in_process
from tests.support.command_line import proxima
from tests.support.hostile import HostileUpstream, hostile_upstream
from tests.support.images import Manifest, multi_platform, oci_image

REPOSITORY = "team/app"

__all__ = ["proxima"]


@dataclass(frozen=True, slots=True)
class Images:
    """What the primary has in `REPOSITORY`: an image tagged `1.0`, and `many` for two platforms."""

    single: Manifest
    many: Manifest


def add_images(upstream: HostileUpstream) -> Images:
    """Put both images into an upstream."""
    contents = upstream.contents
    return Images(
        contents.add(REPOSITORY, oci_image("single"), "1.0"),
        contents.add(REPOSITORY, multi_platform("many"), "many"),
    )


@pytest.fixture
def images(upstream: HostileUpstream) -> Images:
    return add_images(upstream)


@pytest.fixture
def life() -> Iterator[ExitStack]:
    """The replica's life: a test that closes it ends the replica, and keeps its store."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def store(opened: Opened) -> Path:
    """Where a store shall be; short, since a store has a unix socket."""
    return Path(opened(tempfile.TemporaryDirectory(prefix="verbs-"))) / "store"


@pytest.fixture
def running(upstream: HostileUpstream, images: Images, store: Path, life: ExitStack) -> InProcess:
    """A replica that runs on an empty store."""
    return life.enter_context(in_process(upstream.url, root=store))


def pull(replica: InProcess, manifest: Manifest, reference: str) -> None:
    """Pull an image whole, compare it, and wait until all of it is kept."""
    client = replica.client
    base = f"/v2/{REPOSITORY}"
    assert client.get(f"{base}/manifests/{reference}").expect(200).body == manifest.data
    for each in manifest.all_manifests():
        assert client.get(f"{base}/manifests/{each.digest}").expect(200).body == each.data
    for blob in manifest.all_blobs():
        assert client.get(f"{base}/blobs/{blob.digest}").expect(200).body == blob.data
    replica.wait_idle()


@pytest.fixture(scope="session")
def pulled_store() -> Iterator[Path]:
    """A store that has both images, and is copied rather than used."""
    with tempfile.TemporaryDirectory(prefix="pulled-") as folder, hostile_upstream() as upstream:
        root = Path(folder) / "store"
        images = add_images(upstream)
        with in_process(upstream.url, root=root) as replica:
            pull(replica, images.single, "1.0")
            pull(replica, images.many, "many")
        yield root


@pytest.fixture
def warm(
    pulled_store: Path, upstream: HostileUpstream, images: Images, store: Path, life: ExitStack
) -> InProcess:
    """A replica that runs and has both images."""
    shutil.copytree(pulled_store, store)
    return life.enter_context(in_process(upstream.url, root=store))
