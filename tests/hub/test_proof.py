"""What a sentinel's notification proves, and for how long."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from hub.sentinel.contents import Content
from hub.sentinel.sentinel import MAX_UNDER_WAY, Sentinel
from hub.telemetry import HubTelemetry
from proxy.events.event import Event, ManifestDeleted, ManifestPushed
from proxy.events.notification import Notification, Sender, Source
from proxy.oci.digest import Digest
from proxy.oci.errors import Unavailable
from proxy.oci.reference import Repository, Tag
from proxy.telemetry.hub_metrics import HubMetrics
from proxy.telemetry.logs import EventLog
from tests.hub.test_log import ManualClock

REPOSITORY, OTHER = Repository.parse("proxima/sentinel"), Repository.parse("shop/api")
TAG = Tag.parse("current")


class Primary:
    """Takes pushes, or is away."""

    def __init__(self) -> None:
        self.pushed: list[Content] = []
        self.is_away = False

    async def push(self, content: Content) -> None:
        if self.is_away:
            raise Unavailable("away")
        self.pushed.append(content)


class Watch:
    """A sentinel with a limit of 90 s, whose clock a test sets."""

    def __init__(self) -> None:
        self.clock, self.primary = ManualClock(), Primary()
        descriptor = os.open(os.devnull, os.O_WRONLY)
        self.log = EventLog(descriptor)
        telemetry = HubTelemetry(self.log, HubMetrics())
        self.sentinel = Sentinel(
            self.primary,  # type: ignore[arg-type]
            REPOSITORY,
            90.0,
            self.clock,
            telemetry,
        )
        self._descriptor = descriptor
        self._number = 0

    async def push(self) -> Content | None:
        """Push once; give what was pushed, None if it couldn't be."""
        self._number += 1
        before = len(self.primary.pushed)
        await self.sentinel._push(self._number)
        return self.primary.pushed[-1] if len(self.primary.pushed) > before else None

    def told(self, event: Event) -> bool:
        """Tell the sentinel of an event; give whether it is its own."""
        source = Source(Sender.DISTRIBUTION, datetime.now(UTC), "an id")
        notification = Notification(source, event)
        is_own = self.sentinel.is_own(notification)
        if is_own:
            self.sentinel.arrived(notification)
        return is_own

    def close(self) -> None:
        self.log.flush()
        os.close(self._descriptor)


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    made = Watch()
    yield made
    made.close()


def push_of(content: Content | None, repository: Repository = REPOSITORY) -> ManifestPushed:
    assert content is not None
    return ManifestPushed(repository, TAG, content.digest)


async def test_nothing_is_proven_before_the_first(watch: Watch) -> None:
    """A push alone proves nothing."""
    await watch.push()
    assert "has come yet" in watch.sentinel.doubt()


async def test_it_proves_from_the_begin_of_its_push_on(watch: Watch) -> None:
    """A notification that was late proves that much less: what was pushed since may be late too."""
    content = await watch.push()
    watch.clock.time += 60
    assert watch.told(push_of(content))
    assert watch.sentinel.doubt() == ""
    watch.clock.time += 30
    assert watch.sentinel.doubt() == ""
    watch.clock.time += 1
    assert watch.sentinel.doubt() == "no notification of the sentinel's pushes for 91 s"


async def test_one_that_comes_again_proves_nothing_new(watch: Watch) -> None:
    """Neither a repetition, nor one that comes after a later one, moves the proof."""
    first = await watch.push()
    watch.clock.time += 50
    second = await watch.push()
    assert watch.told(push_of(second))
    watch.clock.time += 50
    assert watch.told(push_of(first))
    assert watch.told(push_of(second))
    assert watch.sentinel.doubt() == ""
    watch.clock.time += 41
    assert watch.sentinel.doubt()


@pytest.mark.parametrize(
    ("event", "is_own"),
    [
        (ManifestPushed(OTHER, TAG, Digest.of(b"x")), False),
        (ManifestPushed(REPOSITORY, TAG, Digest.of(b"x")), True),
        (ManifestPushed(REPOSITORY, TAG), True),
        (ManifestDeleted(REPOSITORY, Digest.of(b"x")), True),
    ],
)
async def test_others_prove_nothing(watch: Watch, event: Event, is_own: bool) -> None:
    """Only the digest of a push under way counts; all of that repository is kept from replicas."""
    await watch.push()
    assert watch.told(event) == is_own
    assert watch.sentinel.doubt()


async def test_the_same_image_elsewhere_proves_nothing(watch: Watch) -> None:
    """A push of the sentinel's content to another repository is somebody else's."""
    content = await watch.push()
    assert not watch.told(push_of(content, OTHER))
    assert watch.sentinel.doubt()


async def test_a_push_that_failed_proves_nothing(watch: Watch) -> None:
    """What the primary didn't take can't come back; the reason is told while it lasts."""
    content = await watch.push()
    assert watch.told(push_of(content))
    watch.primary.is_away = True
    await watch.push()
    assert watch.sentinel.doubt() == ""
    watch.clock.time += 91
    await watch.push()
    assert watch.sentinel.doubt() == "the sentinel can't be pushed: away"
    watch.primary.is_away = False
    content = await watch.push()
    assert "no notification" in watch.sentinel.doubt()
    assert watch.told(push_of(content))
    assert watch.sentinel.doubt() == ""


async def test_memory_of_pushes_is_bounded(watch: Watch) -> None:
    """Notifications that never come cost nothing."""
    for _ in range(3 * MAX_UNDER_WAY):
        await watch.push()
    assert len(watch.sentinel._under_way) == MAX_UNDER_WAY
