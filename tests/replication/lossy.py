"""A primary whose tags move while its notifications are lost, late, doubled and out of order, and a
replica that follows it through a hub: the real parts over a real store, on a clock set by hand.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from proxy.events.event import ManifestPushed
from proxy.oci.caller import ANONYMOUS
from proxy.oci.descriptor import Descriptor
from proxy.oci.digest import Digest
from proxy.oci.errors import Unavailable
from proxy.oci.reference import Tag
from proxy.oci.request import ManifestPull
from proxy.registry.fetcher import Fetcher
from proxy.registry.freshness import Freshness, TagRules, TagTimes
from proxy.registry.primary import Fetched
from proxy.registry.puller import Resolution
from proxy.registry.sidecar import Sidecar
from proxy.registry.tag_checks import TagChecks
from proxy.registry.tagbook import TagBook
from proxy.registry.tags import FreshTags
from proxy.replication.assurance import MarkedTags
from proxy.replication.intake import Intake
from proxy.replication.lease import Lease
from proxy.replication.marks import Marks
from proxy.replication.subscription import Subscription
from proxy.telemetry.labels import Origin
from tests.registry_store.ground import A, Heard, ManualClock, MemoryPrimary, opened_ground
from tests.replication.hubs import MemoryHub, MemoryJournal
from tests.support.images import oci_image

IMAGES = [oci_image(f"version-{number}") for number in range(4)]
DIGESTS = [Digest.parse(each.digest) for each in IMAGES]
TTL, VERIFY_EVERY, IDLE_VERIFY = 30.0, 60.0, 600.0


@dataclass(slots=True)
class History:
    """What a tag named: one image after the other, each from when on."""

    images: list[int] = field(default_factory=list)
    since: list[float] = field(default_factory=list)

    def move(self, image: int, now: float) -> int:
        """Let the tag name *image*; give the number of this state."""
        self.images.append(image)
        self.since.append(now)
        return len(self.images) - 1

    def until(self, state: int) -> float:
        """Give when a state ended; inf for the one that lasts."""
        return self.since[state + 1] if state + 1 < len(self.since) else float("inf")

    def states_of(self, digest: Digest) -> list[int]:
        """Give the states in which the tag named *digest*."""
        return [n for n, image in enumerate(self.images) if DIGESTS[image] == digest]


@dataclass(slots=True)
class MovingPrimary(MemoryPrimary):
    """Has tags. While there is a `gate`, it decides at once and its answers wait behind it."""

    histories: dict[Tag, History] = field(default_factory=dict)
    is_away: bool = False
    gate: asyncio.Event | None = None
    waiting: int = 0

    async def _named(self, tag: Tag) -> Digest:
        if self.is_away:
            raise Unavailable
        digest = DIGESTS[self.histories[tag].images[-1]]
        if self.gate is not None:
            self.waiting += 1
            try:
                await self.gate.wait()
            finally:
                self.waiting -= 1
        return digest

    async def manifest(self, pull: ManifestPull) -> Fetched:
        if not isinstance(pull.reference, Digest):
            digest = await self._named(pull.reference)
            pull = ManifestPull(pull.repository, digest, pull.caller)
        elif self.is_away:
            raise Unavailable
        return await MemoryPrimary.manifest(self, pull)

    async def is_changed(self, pull: ManifestPull, known: Digest) -> Resolution | None:
        assert isinstance(pull.reference, Tag)
        digest = await self._named(pull.reference)
        if digest == known:
            return None
        image = IMAGES[DIGESTS.index(digest)]
        return Resolution(Descriptor(image.media_type, digest, len(image.data)), Origin.PRIMARY)


class CountedChecks(TagChecks):
    """Checks that tell how many pulls are at them."""

    pulls = 0

    async def check(self, pull: ManifestPull, tag: Tag) -> Fetched | None:
        self.pulls += 1
        try:
            return await super().check(pull, tag)
        finally:
            self.pulls -= 1


@dataclass(slots=True)
class Region:
    """One life of a replica."""

    tags: FreshTags
    book: TagBook
    checks: CountedChecks
    marks: Marks
    lease: Lease
    subscription: Subscription

    async def pull(self, tag: Tag) -> Digest:
        """Pull a tag as a client does, from memory where that can be."""
        pull = ManifestPull(A, tag, ANONYMOUS)
        content = self.tags.at_hand(pull)
        if content is None:
            content = await self.tags.open(pull)
        digest = content.resolution.descriptor.digest
        await content.aclose()
        return digest

    @property
    def checks_running(self) -> int:
        return len(self.checks._running)


@asynccontextmanager
async def opened_region(
    root: Path,
    primary: MovingPrimary,
    hub: MemoryHub,
    journal: MemoryJournal,
    clock: ManualClock,
    heard: Heard,
) -> AsyncIterator[Region]:
    """Open a replica on what an earlier life left at *root* and in *journal*."""
    log = heard.telemetry.log
    marks, lease = Marks(clock), Lease(hub, clock, log)
    marks.add(await journal.marks())
    rules = TagRules(lambda *_: Freshness.EVENT, TTL, 1e9, VERIFY_EVERY, IDLE_VERIFY)
    async with opened_ground(root / "store", primary, heard) as ground:
        sidecar = Sidecar(root / "proxima.sqlite")
        await sidecar.open()
        book = TagBook(ground.tree, sidecar, clock, log)
        times = TagTimes(rules, book.age, MarkedTags(marks, lease.is_live))
        fetcher = Fetcher(primary, has_own_identity=False)
        checks = CountedChecks(ground.fill, book, fetcher, times, clock)
        tags = FreshTags(ground.fill, book, checks, times, log)
        intake = Intake(journal, marks, lease, ground.fill.forget_negatives, log)
        try:
            yield Region(tags, book, checks, marks, lease, Subscription(hub, intake, clock, log))
        finally:
            await checks.close()
            await sidecar.close()


async def settled(condition: Callable[[], object]) -> None:
    """Let the loop run until *condition* holds, at most for some seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "never settled"
        await asyncio.sleep(0)


def pushed(tag: Tag, image: int) -> ManifestPushed:
    """Give the event of a tag that was moved to an image."""
    return ManifestPushed(A, tag, DIGESTS[image])
