"""What clients of a replica are shown and what it keeps, held against what the primary had."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException

from tests.replication.tag_history import Key
from tests.replication.world import (
    CONTENTS,
    IDLE_VERIFY,
    IMAGES,
    KEYS,
    QUIET_SECONDS,
    RECONCILE_EVERY,
    REPOSITORIES,
    TTL,
    World,
)
from tests.support.hostile import MANIFESTS, Hold
from tests.support.registry_client import RegistryClient, Reply
from tests.support.store_tree import linked_blobs, linked_manifests, tags, wrong_blobs
from tests.support.waiting import POLL_SECONDS, NeverHappened, wait_until


@dataclass(frozen=True, slots=True)
class Asked:
    """When a client asked for a tag, and what no answer to it may be older than."""

    at: float
    is_leased: bool
    shown: int
    told_of: int


class JudgedWorld(World):
    """Judges every answer, and all of it in the end."""

    def pull(self, key: Key) -> str | None:
        """Pull a tag as a client does; hold the answer against what the primary had."""
        asked = self._asked(key)
        return self.check(key, self.get(key), asked)

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
            replies = [clients.submit(self.get, key) for key in waiting]
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

    # --- waiting ----------------------------------------------------------------------------------

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

    # --- what is here -----------------------------------------------------------------------------

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
        # Of a repository that is gone a deletion can't be confirmed: it is listed as given up, and
        # the comparison has removed what it was about.
        dead = self.replica.thread.run(self.replica.replication.journal.dead(1000))
        kept = {(repository, digest) for repository, digest in self.links() if repository in held}
        for job, error in dead:
            assert job.is_deletion, error
            assert (job.target.repository, str(job.target.reference)) not in kept, error
        assert "crashed" not in self.replica.log()
        for key in KEYS:
            self.pull_whole(key)
