"""What tests of a replica on a bad disk share: content, pulls, and what is kept."""

from dataclasses import dataclass, field

from tests.support.hostile import BLOBS, HostileUpstream
from tests.support.images import Manifest, oci_image
from tests.support.layers import Blob, random_blob
from tests.support.raw_http import RawReply, exchange, request_bytes
from tests.support.registry_client import RegistryClient, Reply
from tests.support.replica import Replica
from tests.support.store_tree import visible_blobs, wrong_blobs
from tests.support.waiting import wait_until

REPOSITORY = "app"
RECOVERY_SECONDS = 30.0


def blob_path(blob: Blob, repository: str = REPOSITORY) -> str:
    return f"/v2/{repository}/blobs/{blob.digest}"


def manifest_path(reference: str, repository: str = REPOSITORY) -> str:
    return f"/v2/{repository}/manifests/{reference}"


@dataclass(slots=True)
class Scene:
    """A replica, its upstream, and blobs of both sizes that are handled differently."""

    replica: Replica
    upstream: HostileUpstream
    image: Manifest = field(default_factory=lambda: oci_image("warm"))
    small: Blob = field(default_factory=lambda: random_blob(20_000, "small"))
    large: Blob = field(default_factory=lambda: random_blob(300_000, "large"))
    cold: Blob = field(default_factory=lambda: random_blob(3_000_000, "cold"))

    def __post_init__(self) -> None:
        self.upstream.contents.add(REPOSITORY, self.image, "1.0")
        for blob in (self.small, self.large, self.cold):
            self.upstream.contents.add_blob(REPOSITORY, blob)

    @property
    def client(self) -> RegistryClient:
        return RegistryClient(self.replica.url)

    @property
    def warm(self) -> list[Blob]:
        return [*self.image.all_blobs(), self.small, self.large]

    def warm_up(self) -> None:
        """Bring what is warm into the store, hash and all."""
        self.check_hits()
        wait_until(lambda: {blob.digest for blob in self.warm} <= self.visible, what="kept")
        self.check_hits()

    def check_hits(self) -> None:
        """Pull everything warm and compare it."""
        client = self.client
        for reference in ("1.0", self.image.digest):
            assert client.get(manifest_path(reference)).expect(200).body == self.image.data
        for blob in self.warm:
            assert client.get(blob_path(blob)).expect(200).body == blob.data

    def get(self, blob: Blob) -> Reply:
        return self.client.get(blob_path(blob))

    def pull(self, blob: Blob) -> None:
        """Pull a blob and compare it."""
        assert self.get(blob).expect(200).body == blob.data

    def raw(self, blob: Blob) -> RawReply:
        """Pull a blob and give what came, complete or not."""
        address = self.replica.address
        return exchange(address, request_bytes("GET", blob_path(blob), address))

    def check_never_wrong(self, blob: Blob) -> RawReply:
        """Pull a blob: it is right, or visibly not complete."""
        reply = self.raw(blob)
        if reply.status == 200 and reply.is_complete:
            assert reply.body == blob.data
        return reply

    @property
    def visible(self) -> set[str]:
        """Give the digests that the store shows; all of them are right."""
        assert wrong_blobs(self.replica.store) == set()
        return set(visible_blobs(self.replica.store))

    @property
    def spooled(self) -> list[str]:
        return [path.name for path in (self.replica.store / "spool").iterdir()]

    def fetched(self, blob: Blob) -> int:
        """Count the GETs of a blob at the upstream."""
        return self.upstream.count("GET", BLOBS.replace(".+:.+", blob.digest))

    def pull_until_kept(self, blob: Blob) -> None:
        """Pull a blob again and again until the store has it."""

        def is_kept() -> bool:
            self.pull(blob)
            return blob.digest in self.visible

        wait_until(is_kept, RECOVERY_SECONDS, f"{blob} is kept")

    def metric(self, name: str, **labels: str) -> float:
        return self.replica.metrics().value(f"proxima_{name}", **labels)
