"""A primary, a hub and a replica, all of them real, and what the primary's tags named when."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from config import Address, Duration, ReplicationSource, Settings
from config.replication import ReplicationSettings
from config.settings import ListenSettings, PrimarySettings, StoreSettings
from proxy.events.cursor import Cursor
from tests.fills.in_process import AdvancedClock
from tests.replication.brisk import make_brisk
from tests.replication.hub_lives import HubLives
from tests.replication.lives import Lives
from tests.replication.tag_history import History, Key
from tests.support.hostile import HostileUpstream, hostile_upstream
from tests.support.images import multi_platform, oci_image
from tests.support.loop_thread import LoopThread
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.pushing import put_manifest
from tests.support.registry_client import RegistryClient, Reply
from tests.support.waiting import NeverHappened, wait_until

REPOSITORIES = ("shop/api", "shop/web")
TAGS = ("v1", "latest", "stable")
KEYS: tuple[Key, ...] = tuple((repository, tag) for repository in REPOSITORIES for tag in TAGS)
IMAGES = {
    "one": oci_image("one"),
    "two": oci_image("two"),
    "both": multi_platform("both"),
    "three": oci_image("three"),
}
CONTENTS = {
    each.digest: each.data
    for image in IMAGES.values()
    for each in (*image.all_manifests(), *image.all_blobs())
}
NO_TAG = "never"
ANY_FREE = Address(LOOPBACK, 0)
TTL, IDLE_VERIFY = 60.0, 600.0
RECONCILE_EVERY = 3600.0
SOON = 61.0
"""Beyond it breakers try again."""
QUIET_SECONDS = 30.0

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Told:
    """An event at a place in the hub's log, and what the primary's tags were when it got there."""

    cursor: Cursor
    newest: dict[Key, int]


class World:
    """Open it as a context manager."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.clock = AdvancedClock()
        self.histories = {key: History() for key in KEYS}
        self.told: list[Told] = []
        self.is_away = False
        self.longest_trip = 0.0
        self.ever_there: set[tuple[str, str]] = set()
        self.ever_deleted: set[tuple[str, str]] = set()
        self.linked: set[tuple[str, str]] = set()

    def open(self, first: Mapping[Key, str]) -> None:
        """Start all of it; the primary has some tags before anybody tells of them."""
        stack = self.stack
        folder = Path(tempfile.mkdtemp(prefix="world-"))
        patched = stack.enter_context(pytest.MonkeyPatch.context())
        make_brisk(patched)
        self.upstream: HostileUpstream = stack.enter_context(hostile_upstream())
        address = f"{LOOPBACK}:{stack.enter_context(claimed_port())}"
        self.hub = HubLives(stack.enter_context(LoopThread("hub")), folder, address)
        self.replica = Lives(self._settings(folder), self.clock, folder / "events.jsonl")
        # what ends last is entered first
        stack.callback(self.replica.close)
        stack.callback(shutil.rmtree, folder)
        stack.callback(lambda: self.hub.stop() if self.hub.is_up else None)
        stack.callback(lambda: self.replica.stop() if self.replica.is_up else None)
        for key, image in first.items():
            self.push(key, image)
        self.hub.start()
        self.replica.start()

    def close(self) -> None:
        """End all of it."""
        self.replica.print_log()
        self.stack.close()

    def _settings(self, folder: Path) -> Settings:
        return Settings(
            region="test",
            listen=ListenSettings(registry=(ANY_FREE,), ops=ANY_FREE, drain_limit=Duration(0.2)),
            primary=PrimarySettings(url=self.upstream.url),
            store=StoreSettings(root=folder / "store"),
            replication=ReplicationSettings(
                source=ReplicationSource.HUB,
                hub_url=self.hub.url,
                token_file=self.hub.token_file,
                reconcile_every=Duration(RECONCILE_EVERY),
                reconcile_rate=10_000,
                allow_mass_delete=True,
            ),
        )

    # --- the primary ------------------------------------------------------------------------------

    def change(self, work: Callable[[], None]) -> None:
        """Change the primary's contents between two of its answers, and note what that made."""
        self.upstream.listener._thread.run(_called(work))
        now = self.clock.now()
        held = self.upstream.contents.repositories
        for (repository, tag), history in self.histories.items():
            found = held.get(repository)
            history.move(found.tags.get(tag) if found else None, now)
        there = {
            (name, digest)
            for name, repository in held.items()
            for digest in (*repository.manifests, *repository.blobs)
        }
        self.ever_deleted |= self.ever_there - there
        self.ever_there |= there

    def has(self, repository: str, name: str | None = None) -> bool:
        """Say whether the primary has a repository, and an image in it."""
        held = self.upstream.contents.repositories.get(repository)
        return held is not None and (name is None or IMAGES[name].digest in held.manifests)

    def push(self, key: Key, name: str) -> Document:
        image = IMAGES[name]
        repository, tag = key
        self.change(lambda: void(self.upstream.contents.add(repository, image, tag)))
        return event("manifest.pushed", repository, tag=tag, digest=image.digest)

    def push_through(self, key: Key, name: str) -> Document:
        """Push a tag through the replica; what becomes of that event is another matter."""
        repository, tag = key
        self.change(lambda: void(self.upstream.contents.add(repository, IMAGES[name])))
        client = RegistryClient(self.replica.url)
        put_manifest(client, repository, IMAGES[name], tag).expect(201)
        self.change(lambda: None)
        return event("manifest.pushed", repository, tag=tag, digest=IMAGES[name].digest)

    def delete_through(self, key: Key) -> Document:
        """Delete a tag through the replica."""
        repository, tag = key
        client = RegistryClient(self.replica.url)
        client.delete(f"/v2/{repository}/manifests/{tag}").expect(202)
        self.change(lambda: None)
        return event("tag.deleted", repository, tag=tag)

    def delete_tag(self, key: Key) -> Document:
        repository, tag = key
        held = self.upstream.contents.repositories[repository]
        self.change(lambda: void(held.tags.pop(tag)))
        return event("tag.deleted", repository, tag=tag)

    def delete_manifest(self, repository: str, name: str) -> Document:
        digest = IMAGES[name].digest
        held = self.upstream.contents.repositories[repository]
        self.change(lambda: held.forget(digest))
        return event("manifest.deleted", repository, digest=digest)

    def delete_repository(self, repository: str) -> Document:
        held = self.upstream.contents.repositories
        self.change(lambda: void(held.pop(repository)))
        return event("repository.deleted", repository)

    def go_away(self) -> None:
        self.upstream.cut()
        self.is_away = True

    def come_back(self) -> None:
        """End the outage, and let the replica find out."""
        self.upstream.restore()
        if self.replica.is_up:
            wait_until(self._reaches_primary, QUIET_SECONDS, "the primary is reached")
        self.is_away = False

    def _reaches_primary(self) -> bool:
        self.pass_time(SOON)
        return self.get((REPOSITORIES[0], NO_TAG)).status == 404

    # --- the wire to the hub ----------------------------------------------------------------------

    def send(self, document: Document) -> bool:
        """Let an event reach the hub; False: the hub is away, or had it before."""
        if not self.hub.is_up:
            return False
        before = self.hub.head
        status, answer = self.hub.post(document)
        assert status == 202, answer
        if self.hub.head == before:
            return False
        repository, tag = document["repository"], document.get("tag")
        is_whole = document["event"] in ("manifest.deleted", "repository.deleted")
        newest = {
            key: history.newest
            for key, history in self.histories.items()
            if key[0] == repository and (is_whole or key[1] == tag)
        }
        self.told.append(Told(self.hub.head, newest))
        return True

    def note_told(self) -> None:
        """Note which events the replica has taken."""
        following = self.replica.replication.news.following
        assert following is not None
        subscription = following.subscription
        cursor = subscription._intake.cursor if subscription is not None else None
        if cursor is None:
            return
        for told in [each for each in self.told if cursor.has_reached(each.cursor)]:
            self.told.remove(told)
            for key, state in told.newest.items():
                self.histories[key].told_of = max(self.histories[key].told_of, state)

    # --- pulls ------------------------------------------------------------------------------------

    @property
    def is_leased(self) -> bool:
        return self.replica.replication.news.assurance.is_live()

    def get(self, key: Key) -> Reply:
        """Pull a tag."""
        repository, tag = key
        return RegistryClient(self.replica.url).get(f"/v2/{repository}/manifests/{tag}")

    # --- time -------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and those who wait for it look at the clock."""
        if self.replica.is_up and not self._is_idle():
            self.longest_trip = max(self.longest_trip, seconds)
        self.clock.advance(seconds)
        if self.replica.is_up:
            self.replica.thread.run(self._wake())

    def _is_idle(self) -> bool:
        chain, workers = self.replica.replica._chain, self.replica.replication.workers
        try:
            wait_until(lambda: not len(chain.checks._running) and not workers.running, 1.0)
        except NeverHappened:
            return False
        return True

    async def _wake(self) -> None:
        replication = self.replica.replication
        replication.journal.has_news.set()
        if (following := replication.news.following) is not None:
            following.lease._wake.set()


def event(name: str, repository: str, **fields: str) -> Document:
    """Give a notification in the plain form, without a source."""
    return {"version": 1, "event": name, "repository": repository, **fields}


async def _called(work: Callable[[], None]) -> None:
    work()


def void(_: object) -> None:
    """Drop a value."""
