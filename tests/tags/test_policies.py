"""Which tags are asked about how often: by pattern, the first that fits."""

import asyncio
from collections.abc import Sequence

import pytest

from config import Freshness, TagPolicy
from proxy.oci.reference import Repository, Tag
from proxy.registry import freshness
from proxy.registry.patterns import freshness_by_pattern
from tests.conftest import Opened
from tests.fills.calls import causes, head
from tests.fills.crowd import pull
from tests.fills.in_process import InProcess, in_process
from tests.support.hostile import Hold, HostileUpstream
from tests.support.waiting import eventually
from tests.tags.conftest import NEVER_AGES
from tests.tags.scene import NEW, OLD, TAG, TTL_SECONDS, name, pulled

RULES = [
    ("team/secret", "latest", "always"),
    ("team/*", "v*", "never"),
    ("team/**", "*", "ttl"),
    ("**/cache", "*", "never"),
    ("a*b/c", "x.y", "always"),
]
FITTING = [
    ("team/secret", "latest", "always"),
    ("team/secret", "latest-2", "ttl"),
    ("team/secret", "v1", "never"),
    ("team/app", "v1.2.3", "never"),
    ("team/app", "1.2.3", "ttl"),
    ("team/deep/app", "v1", "ttl"),
    ("team", "v1", "event"),
    ("teams/app", "v1", "event"),
    ("my/team/app", "v1", "event"),
    ("build/cache", "any", "never"),
    ("build/deep/cache", "any", "never"),
    ("build/cache/more", "any", "event"),
    ("ab/c", "x.y", "always"),
    ("axb/c", "x.y", "always"),
    ("axb/c", "xzy", "event"),
    ("a/b/c", "x.y", "event"),
]


@pytest.mark.parametrize(("repository", "tag", "expected"), FITTING)
def test_the_first_pattern_that_fits_counts(repository: str, tag: str, expected: str) -> None:
    """`*` stays within a component, `**` goes across, all else is literal; `event` if none fits."""
    policy = freshness_by_pattern([(r, t, freshness.Freshness(kind)) for r, t, kind in RULES])
    assert policy(Repository.parse(repository), Tag.parse(tag)) == expected


def with_policy(opened: Opened, upstream: HostileUpstream, freshness: Freshness) -> InProcess:
    rules: Sequence[TagPolicy] = (
        TagPolicy(repositories="other/**", freshness=Freshness.NEVER),
        TagPolicy(repositories="app", tags="v*", freshness=freshness),
    )
    return opened(in_process(upstream.url, access=NEVER_AGES, tags={"policies": rules}))


CHECKS = {
    Freshness.EVENT: (0, 1),
    Freshness.TTL: (0, 1),
    Freshness.ALWAYS: (1, 1),
    Freshness.NEVER: (0, 0),
}


@pytest.mark.parametrize("freshness", Freshness)
def test_each_policy(opened: Opened, upstream: HostileUpstream, freshness: Freshness) -> None:
    """`always` asks at each pull, `never` not at all; `ttl` in time, as `event` without events."""
    replica = with_policy(opened, upstream, freshness)
    name(upstream, OLD)
    pulled(replica, OLD)
    early, late = CHECKS[freshness]
    with causes(upstream, *[head(TAG, 304)] * early):
        pulled(replica, OLD)
    replica.clock.advance(TTL_SECONDS)
    with causes(upstream, *[head(TAG, 304)] * late):
        pulled(replica, OLD)


async def test_always_means_asked_after_the_pull_began(
    opened: Opened, upstream: HostileUpstream
) -> None:
    """Under `always` a pull isn't answered by a check that began before it did."""
    replica = with_policy(opened, upstream, Freshness.ALWAYS)
    name(upstream, OLD)
    assert (await pull(replica.address, TAG)).body == OLD.data
    hold = upstream.inject(Hold(), method="HEAD", path=TAG)
    first = asyncio.create_task(pull(replica.address, TAG))
    await eventually(lambda: hold.fired)
    name(upstream, NEW)
    later = [asyncio.create_task(pull(replica.address, TAG)) for _ in range(5)]
    await eventually(lambda: replica.replica._gate.in_flight == 6)
    checks = upstream.count("HEAD", TAG)
    hold.release()
    await first
    assert {(await each).body for each in later} == {NEW.data}
    assert upstream.count("HEAD", TAG) == checks + 1
