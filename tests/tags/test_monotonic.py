"""A tag never shows an older state of the primary than it showed: slow answers come too late."""

import asyncio
from collections.abc import Callable

import pytest

from tests.fills.crowd import Pulled, pull
from tests.fills.in_process import InProcess
from tests.support.hostile import Fault, Hold, HostileUpstream
from tests.support.pushing import put_manifest
from tests.support.schema1 import schema1_image
from tests.support.store_tree import tags
from tests.support.waiting import eventually
from tests.tags.scene import NEW, OLD, TAG, known, name, pulled

Action = Callable[[InProcess], None]


@pytest.fixture(autouse=True)
def trusting(upstream: HostileUpstream) -> None:
    """The primary takes manifests whose blobs it lacks."""
    upstream.settings.checks_blobs = False


async def slow_pull(
    upstream: HostileUpstream, replica: InProcess, method: str
) -> tuple[Fault, "asyncio.Task[Pulled]"]:
    """Begin a pull of the tag whose request upstream is answered, and held on its way back."""
    hold = upstream.inject(Hold(), method=method, path=TAG)
    slow = asyncio.create_task(pull(replica.address, TAG))
    await eventually(lambda: hold.fired)
    return hold, slow


def push_new(replica: InProcess) -> None:
    put_manifest(replica.client, "app", NEW, "v1").expect(201)


@pytest.mark.parametrize("is_known", [True, False], ids=["check", "first-fetch"])
async def test_a_slow_answer_after_a_push(
    upstream: HostileUpstream, replica: InProcess, is_known: bool
) -> None:
    """C16, T5, settled 14: what the primary said before a push through us doesn't undo the push."""
    known(upstream, replica)
    if not is_known:
        await asyncio.to_thread(replica.client.delete, TAG)
        name(upstream, OLD)
    hold, slow = await slow_pull(upstream, replica, "HEAD" if is_known else "GET")
    await asyncio.to_thread(push_new, replica)
    assert tags(replica.store, "app") == {"v1": NEW.digest}
    hold.release()
    assert (await slow).body == NEW.data
    assert (await pull(replica.address, TAG)).body == NEW.data
    assert tags(replica.store, "app") == {"v1": NEW.digest}


async def test_a_check_that_fails_after_a_push(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """Settled 14: who asked before a push and is told nothing gets what was pushed, not what was
    known when the question began.
    """
    known(upstream, replica)
    hold, slow = await slow_pull(upstream, replica, "HEAD")
    await asyncio.to_thread(push_new, replica)
    upstream.cut()
    assert (await slow).body == NEW.data
    assert hold.fired


async def test_a_slow_answer_after_a_deletion(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """Settled 14: what the primary said before a deletion through us doesn't bring the tag back."""
    known(upstream, replica)
    hold, slow = await slow_pull(upstream, replica, "HEAD")
    (await asyncio.to_thread(replica.client.delete, TAG)).expect(202)
    hold.release()
    assert (await slow).status == 404
    assert (await pull(replica.address, TAG)).status == 404
    assert tags(replica.store, "app") == {}


async def test_a_slow_404_after_a_push(upstream: HostileUpstream, replica: InProcess) -> None:
    """Settled 14: absence that was told before a push through us says nothing about what is now."""
    known(upstream, replica)
    del upstream.contents.repository("app").tags["v1"]
    hold, slow = await slow_pull(upstream, replica, "GET")
    await asyncio.to_thread(push_new, replica)
    hold.release()
    await slow
    replica.clock.advance(5)
    upstream.cut()
    assert (await pull(replica.address, TAG)).body == NEW.data
    assert replica.events("tag.removed") == []
    assert tags(replica.store, "app") == {"v1": NEW.digest}


async def test_a_slow_answer_after_a_push_that_isnt_kept(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """Settled 14: a pushed manifest that can't be kept (schema 1) isn't undone either."""
    known(upstream, replica)
    image = schema1_image("app", "v1")
    hold, slow = await slow_pull(upstream, replica, "HEAD")
    pushed = await asyncio.to_thread(put_manifest, replica.client, "app", image, "v1")
    pushed.expect(201)
    hold.release()
    await slow
    assert upstream.contents.repository("app").tags["v1"] != OLD.digest
    assert (await pull(replica.address, TAG)).body == image.data
    assert tags(replica.store, "app") == {}


def test_a_tag_that_moves_to_what_isnt_kept(upstream: HostileUpstream, replica: InProcess) -> None:
    """Settled 14: once a tag showed a schema 1 image, no outage brings back the one before."""
    known(upstream, replica)
    image = upstream.contents.add("app", schema1_image("app", "v1"), "v1")
    assert replica.client.get(TAG).expect(200).body == image.data
    assert tags(replica.store, "app") == {}
    upstream.cut()
    replica.client.get(TAG).expect(503)


def test_a_push_is_seen_at_once(upstream: HostileUpstream, replica: InProcess) -> None:
    """A tag pushed through us is what was pushed, from the answer on, without a request."""
    known(upstream, replica)
    push_new(replica)
    upstream.cut()
    pulled(replica, NEW)
