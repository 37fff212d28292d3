"""Where a check runs: the registry under test, and the one that content is put into first."""

from dataclasses import dataclass, replace

from tests.support.accounts import Credentials
from tests.support.images import Manifest, oci_image
from tests.support.layers import Blob, random_blob
from tests.support.pushing import location, push, push_blob
from tests.support.registry_client import RegistryClient, Reply

NAMESPACE = "conformance"


class Unsupported(Exception):
    """The spec leaves this to the registry, and this registry doesn't do it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A registry and a repository of the check's own.

    origin: where content is put that the check only reads: the same registry, or the primary of a
            replica, which then has nothing of it yet.
    """

    client: RegistryClient
    origin: RegistryClient
    repository: str

    @property
    def base(self) -> str:
        return f"/v2/{self.repository}"

    @property
    def credentials(self) -> Credentials | None:
        return self.client.credentials

    @property
    def neighbour(self) -> "Place":
        """Another repository of the same check."""
        return replace(self, repository=f"{self.repository}-neighbour")

    def as_caller(self, credentials: Credentials | None) -> RegistryClient:
        """Give a client of the registry under test with another login, or none."""
        return RegistryClient(self.client.url, credentials, self.client.ca_file)

    def has_image(self, tag: str | None = None, seed: str = "image") -> Manifest:
        """Put an image there to be read."""
        return self.has(oci_image(f"{self.repository}-{seed}"), tag)

    def has(self, content: Manifest, tag: str | None = None) -> Manifest:
        """Put content there to be read."""
        push(self.origin, self.repository, content, tag)
        return content

    def has_blob(self, size: int = 1000) -> Blob:
        """Put a blob there to be read."""
        content = random_blob(size, self.repository)
        push_blob(self.origin, self.repository, content)
        return content

    def push(self, content: Manifest, tag: str | None = None) -> Manifest:
        """Push content through the registry under test."""
        push(self.client, self.repository, content, tag)
        return content

    def push_blob(self, content: Blob) -> Blob:
        """Push a blob through the registry under test."""
        push_blob(self.client, self.repository, content)
        return content

    def blob(self, digest: str) -> Reply:
        return self.client.get(f"{self.base}/blobs/{digest}")

    def start_upload(self, query: str = "") -> Reply:
        """Open an upload session."""
        target = f"{self.base}/blobs/uploads/{query}"
        reply = self.client.request("POST", target).expect(202)
        assert location(reply), "an upload has a Location"
        return reply
