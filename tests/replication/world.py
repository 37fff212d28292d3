"""A primary, a hub and a replica, all of them real, a wire between them that loses events, and a
model of what the primary had, against which every answer is held.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import pytest

from config import Address, Duration, ReplicationSource, Settings
from config.replication import ReplicationSettings
from config.settings import ListenSettings, PrimarySettings, StoreSettings
from proxy.replication.cursor import Cursor
from proxy.replication.pace import Pace
from tests.fills.in_process import AdvancedClock
from tests.replication.hub_lives import HubLives
from tests.replication.lives import Lives
from tests.replication.tag_history import History, Key
from tests.support.hostile import MANIFESTS, Hold, HostileUpstream, hostile_upstream
from tests.support.images import multi_platform, oci_image
from tests.support.loop_thread import LoopThread
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.pushing import put_manifest
from tests.support.registry_client import RegistryClient, Reply
from tests.support.store_tree import linked_blobs, linked_manifests, tags, wrong_blobs
from tests.support.waiting import POLL_SECONDS, NeverHappened, wait_until

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


@dataclass(frozen=True, slots=True)
class Asked:
    """When a client asked for a tag, and what no answer to it may be older than."""

    at: float
    is_leased: bool
    shown: int
    told_of: int


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
        return self._get((REPOSITORIES[0], NO_TAG)).status == 404

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

    def pull(self, key: Key) -> str | None:
        """Pull a tag as a client does; hold the answer against what the primary had."""
        asked = self._asked(key)
        return self.check(key, self._get(key), asked)

    def _asked(self, key: Key) -> Asked:
        self.note_told()
        history = self.histories[key]
        return Asked(self.clock.now(), self.is_leased, history.shown, history.told_of)

    def check(self, key: Key, reply: Reply, asked: Asked) -> str | None:
        """Check that an answer is of a state that may be shown, and note that it was."""
        history = self.histories[key]
        if reply.status not in (200, 404):
            assert self.is_away, reply
            assert reply.status in (502, 503), reply
            return None
        seen = reply.header("Docker-Content-Digest") if reply.status == 200 else None
        if seen is not None:
            assert reply.body == CONTENTS[seen], "other bytes"
        is_stale = "Warning" in reply.headers
        assert self.is_away or not is_stale, "stale though the primary answers"
        states = history.fitting(seen, 0)
        assert states, "no state the primary ever had"
        states = [n for n in states if n >= asked.shown]
        assert states, "C17: an older state than was shown before"
        if seen is not None:
            history.shown = max(history.shown, states[0])
        if self.is_away:
            return seen
        assert states[-1] >= asked.told_of, "C16: older than an event that was taken"
        bound = (IDLE_VERIFY if asked.is_leased else TTL) + self.longest_trip
        age = asked.at - history.until[states[-1]]
        assert age <= bound, "older than was promised"
        return seen

    def pull_whole(self, key: Key) -> None:
        """Pull a tag and all that it names, which is there if the primary has it."""
        digest = self.pull(key)
        held = self.upstream.contents.repositories.get(key[0])
        image = next((each for each in IMAGES.values() if each.digest == digest), None)
        if image is None:
            return
        named = [("manifests", each.digest) for each in image.all_manifests()]
        named += [("blobs", each.digest) for each in image.all_blobs()]
        for kind, each in named:
            reply = self._get_part(f"/v2/{key[0]}/{kind}/{each}")
            if reply is None:
                continue
            if reply.status == 200:
                assert reply.body == CONTENTS[each], "other bytes"
                assert (key[0], each) in self.ever_there
            elif not self.is_away:
                assert reply.status == 404, reply
                has_it = held is not None and (each in held.manifests or each in held.blobs)
                assert not has_it, "absent here though the primary has it"

    def _get_part(self, target: str) -> Reply | None:
        """Get a part of an image; None: it broke off in an outage, as it may."""
        try:
            return RegistryClient(self.replica.url).get(target)
        except (HTTPException, OSError):
            assert self.is_away, "broken off though the primary answers"
            return None

    @contextmanager
    def slow_answers(self, waiting: Sequence[Key]) -> Iterator[None]:
        """Let clients wait for answers of the primary about tags as they were when this begins.

        Those that can be answered without it aren't held back.
        """
        hold = Hold()
        fault = self.upstream.inject(hold, path=MANIFESTS, times=None)
        asked = [self._asked(key) for key in waiting]
        with ThreadPoolExecutor(len(waiting)) as clients:
            replies = [clients.submit(self._get, key) for key in waiting]
            with suppress(NeverHappened):
                wait_until(lambda: fault.fired or all(each.done() for each in replies), 1.0)
            try:
                yield
            finally:
                self.upstream.heal()
        if self.is_away:
            return
        for key, reply, each in zip(waiting, replies, asked, strict=True):
            self.check(key, reply.result(), each)

    def _get(self, key: Key) -> Reply:
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

    # --- what has to hold -------------------------------------------------------------------------

    def links(self) -> set[tuple[str, str]]:
        """Give what each repository links here."""
        store = self.replica.store
        return {
            (repository, digest)
            for repository in REPOSITORIES
            for digest in linked_manifests(store, repository) | linked_blobs(store, repository)
        }

    def check_links(self) -> None:
        """Nothing is linked that the primary never had there; nothing goes that never went."""
        links = self.links()
        assert links <= self.ever_there
        self.linked -= self.ever_deleted
        assert self.linked <= links, "removed here though the primary has it"
        self.linked |= links - self.ever_deleted

    def wait_current(self) -> None:
        """Wait until all that the hub has is taken."""

        def has_all() -> bool:
            following = self.replica.replication.news.following
            assert following is not None
            subscription = following.subscription
            cursor = subscription._intake.cursor if subscription is not None else None
            return cursor is not None and cursor == self.hub.head

        wait_until(has_all, QUIET_SECONDS, "the log is known here")

    def wait_leased(self) -> None:
        """Wait until a lease is live."""

        def is_live() -> bool:
            self.replica.thread.run(self._wake())
            return self.is_leased

        wait_until(is_live, QUIET_SECONDS, "a lease")

    def wait_quiet(self) -> None:
        """Wait until no job is left, putting the clock forward to those that wait."""
        wait_until(self._is_quiet, QUIET_SECONDS, "no job is left")

    def _is_quiet(self) -> bool:
        journal, workers = self.replica.replication.journal, self.replica.replication.workers
        run = self.replica.thread.run
        backfill = self.replica.replication.repair.backfill
        if not run(journal.backlog()) and not workers.running and backfill.is_finished:
            return True
        due = run(journal.next_due_in())
        if not workers.running and due:
            self.pass_time(due + POLL_SECONDS)
        return False

    def reconcile(self) -> None:
        """Let it become time for a comparison, and wait until one has ended well."""
        reconciler = self.replica.replication.repair.reconciler
        since = self.clock.wall()

        def is_done() -> bool:
            if reconciler.proven_at >= since:
                return True
            left = max(reconciler._retry_at, reconciler._next_at) - self.clock.now()
            if left > 0:  # one that began before has ended
                self.pass_time(left)
            return False

        self.pass_time(RECONCILE_EVERY * 1.2)
        wait_until(is_done, QUIET_SECONDS, "a comparison that ends well")

    def heal(self) -> None:
        """Let everything be there again."""
        if self.is_away:
            self.come_back()
        if not self.hub.is_up:
            self.hub.start()
        if not self.replica.is_up:
            self.replica.start()

    def check_converged(self) -> None:
        """C17: after a time and one comparison all is as it is at the primary."""
        self.heal()
        self.wait_current()
        self.wait_quiet()
        self.reconcile()
        self.wait_quiet()
        self.check_links()
        store, held = self.replica.store, self.upstream.contents.repositories
        for repository in REPOSITORIES:
            found = held.get(repository)
            assert tags(store, repository) == (found.tags if found else {}), repository
        wanted = {
            (repository, each.digest)
            for repository in held
            for image in IMAGES.values()
            if image.digest in held[repository].tags.values()
            for each in (*image.all_manifests(), *image.all_blobs())
        }
        assert wanted <= self.links(), "not whole"
        assert wrong_blobs(store) == set()
        assert list((store / "spool").iterdir()) == []
        assert self.replica.thread.run(self.replica.replication.journal.dead(1)) == []
        assert "crashed" not in self.replica.log()
        for key in KEYS:
            self.pull_whole(key)


def event(name: str, repository: str, **fields: str) -> Document:
    """Give a notification in the plain form, without a source."""
    return {"version": 1, "event": name, "repository": repository, **fields}


async def _called(work: Callable[[], None]) -> None:
    work()


def void(_: object) -> None:
    """Drop a value."""


def make_brisk(patched: pytest.MonkeyPatch) -> None:
    """Let what waits by the machine's clock wait less."""

    def pace(*_: object, **__: object) -> Pace:
        return Pace(0.02, 0.1)

    for where in ("subscription", "lease"):
        patched.setattr(f"proxy.replication.{where}.Pace", pace)
    for name, seconds in {
        "proxy.replication.pace.REFUSED_SECONDS": 0.1,
        "proxy.replication.lease.LEAST_SECONDS": 0.05,
        "proxy.replication.reconcile.LOOK_EVERY_SECONDS": 0.02,
        "proxy.replication.backfill.LOOK_EVERY_SECONDS": 0.02,
        "proxy.replication.backfill.FIRST_RETRY_SECONDS": 0.05,
        "proxy.replication.backfill.LONGEST_RETRY_SECONDS": 0.1,
        "hub.subscription.feed.TICK_SECONDS": 0.005,
    }.items():
        patched.setattr(name, seconds)
