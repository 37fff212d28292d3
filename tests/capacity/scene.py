"""A replica with a small store, the blobs that don't all fit into it, and what the disk shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from proxy.registry.capacity import Capacity
from tests.fills.calls import blob_path
from tests.fills.in_process import InProcess
from tests.support.hostile import HostileUpstream
from tests.support.layers import Blob, random_blob
from tests.support.registry_client import RegistryClient, Reply
from tests.support.store_tree import visible_blobs
from tests.support.waiting import wait_until

REPOSITORY = "app"
BLOB_BYTES = 200_000
CAPACITY = 10 * BLOB_BYTES


def blobs(upstream: HostileUpstream, count: int, seed: str = "blob") -> list[Blob]:
    """Put blobs of one size, too large to count as small, into the upstream."""
    made = [random_blob(BLOB_BYTES, f"{seed}-{number}") for number in range(count)]
    return [upstream.contents.add_blob(REPOSITORY, each) for each in made]


@dataclass(frozen=True, slots=True)
class Scene:
    """A replica with a capacity in this process."""

    running: InProcess
    upstream: HostileUpstream

    @property
    def client(self) -> RegistryClient:
        return self.running.client

    @property
    def capacity(self) -> Capacity:
        return self.running.replica._capacity

    @property
    def visible(self) -> set[str]:
        """The digests that the tree shows."""
        return set(visible_blobs(self.running.store))

    @property
    def stored_bytes(self) -> int:
        """What the tree holds, by looking at it."""
        return stored_bytes(self.running.store)

    @property
    def taken_bytes(self) -> int:
        """What the tree holds and fills under way have claimed, by the accounts."""

        async def taken() -> int:
            return self.capacity.room.taken_bytes

        return self.running.thread.run(taken())

    def get(self, content: Blob, repository: str = REPOSITORY) -> Reply:
        return self.client.get(blob_path(repository, content.digest))

    def pull(self, contents: Iterable[Blob]) -> None:
        """Pull blobs one after the other, each kept before the next is asked for."""
        for content in contents:
            assert self.get(content).expect(200).body == content.data
            self.running.wait_idle()

    def fetched(self, content: Blob) -> int:
        """Count the GETs of a blob at the upstream."""
        return self.upstream.count("GET", blob_path(".+", content.digest))

    def settle(self) -> None:
        """Let the use of what was pulled be a minute ago, so that the next pull is news."""
        self.running.thread.run(self._settle())

    async def _settle(self) -> None:
        self.capacity.usage.begin_minute()
        assert await self.capacity.usage.write()

    def wait_counted(self) -> None:
        """Wait until the tree was counted, and the accounts agree with the disk."""
        wait_until(lambda: self.running.events("store.counted"), what="counted")
        wait_until(lambda: self.capacity.usage.stored_bytes == self.stored_bytes, what="accounts")

    def wait_below(self, limit: int) -> None:
        wait_until(lambda: self.stored_bytes <= limit, what=f"at most {limit} bytes are stored")

    def metric(self, name: str, **labels: str) -> float:
        return self.running.metrics().value(f"proxima_{name}", **labels)


def stored_bytes(root: Path) -> int:
    """Sum the contents that the tree shows; those that go meanwhile are gone."""
    total = 0
    for path in visible_blobs(root).values():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
