"""C20, C21: a disk that fails again and again is given up for writing, told of, and tried again."""

import asyncio
import errno
import json

import pytest

from proxy.oci.errors import StoreUnavailable
from proxy.registry import health
from proxy.registry.health import BROKEN, FAILING, MANY_FAILURES, WITHIN_SECONDS, Health
from tests.faults_disk.tracing import attached, calls_in, injection
from tests.registry_store.ground import Heard, ManualClock
from tests.support.images import oci_image
from tests.support.layers import random_blob

# --- a replica on such a disk ---------------------------------------------------------------------


def state(warm) -> dict[str, object]:
    """What `/readyz` tells of the store; the replica stays ready."""
    return json.loads(warm.replica.get_ops("/readyz").expect(200).body)["store"]


def test_a_disk_that_fails_again_and_again_is_passed_by(warm, tmp_path):
    """C20, C21, F4: after some EIO the store is read-only: `/readyz` says so with 200, so do metric
    and log; hits are served, each miss costs one GET and is streamed, nothing is written. Once the
    disk works it is written to again.
    """
    log = tmp_path / "trace.log"
    blobs = [
        warm.upstream.contents.add_blob("app", random_blob(300_000, f"sick {number}"))
        for number in range(MANY_FAILURES + 3)
    ]
    assert state(warm) == {"state": "writable"}
    with attached(warm.replica.process.pid, log, *injection(["fsync"], "error=EIO")):
        for blob in blobs[:MANY_FAILURES]:
            warm.check_never_wrong(blob)
        warm.replica.wait_event("store.read_only")
        told = state(warm)
        assert (told["state"], "Input/output error" in str(told["reason"])) == ("read-only", True)
        assert warm.metric("store_read_only") == 1
        before = len(calls_in(log))
        for blob in blobs[MANY_FAILURES:]:
            warm.pull(blob)
            assert warm.fetched(blob) == 1
        moved = warm.upstream.contents.add("app", oci_image("moved while sick"), "2.0")
        assert warm.client.get("/v2/app/manifests/2.0").expect(200).body == moved.data
        warm.check_hits()
        probes = [call for call in calls_in(log)[before:] if "/spool/probe-" not in call.file]
        assert [call for call in probes if "proxima.sqlite" not in call.file] == []
    assert sum(call.is_injected for call in calls_in(log)) >= MANY_FAILURES
    assert not warm.visible & {blob.digest for blob in blobs}
    warm.replica.wait_event("store.writable", timeout_seconds=30)
    assert (state(warm), warm.metric("store_read_only")) == ({"state": "writable"}, 0)
    assert warm.spooled == []
    for blob in blobs:
        warm.pull_until_kept(blob)


def test_one_failure_is_none_of_the_disk(warm, tmp_path):
    """C21: a single EIO costs the content that met it, no more."""
    log = tmp_path / "trace.log"
    with attached(warm.replica.process.pid, log, *injection(["fsync"], "error=EIO:when=1")):
        warm.pull(warm.cold)
        warm.replica.wait_event("fill.uncached", digest=warm.cold.digest)
    assert sum(call.is_injected for call in calls_in(log)) == 1
    assert state(warm) == {"state": "writable"}
    warm.pull_until_kept(warm.cold)


# --- the rule -------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def heard():
    heard = Heard()
    yield heard
    heard.close()


@pytest.fixture
async def disk(heard, clock) -> Health:
    return Health(heard.telemetry.log, clock.now)


@pytest.mark.parametrize("number", sorted(FAILING - BROKEN))
async def test_many_failures_within_a_minute_are_enough(disk, clock, number):
    """A disk that fails now and then is used on; one that fails often isn't."""
    for _ in range(3 * MANY_FAILURES):
        disk.note_failure(OSError(number, "now and then"))
        clock.pass_(WITHIN_SECONDS)
    assert not disk.is_sick
    for _ in range(MANY_FAILURES):
        clock.pass_(1)
        assert not disk.is_sick
        disk.note_failure(OSError(number, "often"))
    assert disk.is_sick
    with pytest.raises(StoreUnavailable):
        disk.require_writable()


@pytest.mark.parametrize("number", sorted(BROKEN))
async def test_a_broken_file_system_is_given_up_at_once(disk, heard, number):
    """One that is read-only, or says that it is damaged, says all there is to say; once."""
    for _ in range(2):
        disk.note_failure(OSError(number, "broken"))
    assert disk.is_sick
    assert len(heard.events("store.read_only")) == 1


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENOENT, errno.EACCES, errno.ENOMEM]
)
async def test_other_refusals_are_not_the_disks(disk, number):
    """C20: a full disk, or too many open files, are no sick disk: they pass by themselves."""
    for _ in range(10 * MANY_FAILURES):
        disk.note_failure(OSError(number, "no"))
    disk.require_writable()


async def test_it_is_tried_again_less_and_less_often(disk, heard, clock, monkeypatch):
    """A sick disk is tried after a while, at doubled intervals up to a limit, until it is fit."""
    slept: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.pass_(seconds)
        await real(0)

    monkeypatch.setattr(health.asyncio, "sleep", sleep)
    answers = iter([*([False] * 9), None, True])

    async def try_it() -> bool:
        answer = next(answers)
        if answer is None:
            raise StoreUnavailable
        return answer

    disk.note_failure(OSError(errno.EROFS, "read-only"))
    watching = asyncio.create_task(disk.watch(try_it))
    try:
        for _ in range(100):
            await real(0)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert slept == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert len(heard.events("store.writable")) == 1
    assert disk.as_document() == {"state": "writable"}
