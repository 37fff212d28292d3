"""Waiting for an artifact: answered when it is complete, or when the time is over."""

import asyncio
import time

import pytest

from tests.hub.api import entry, serving_hub
from tests.hub.place import pushed
from tests.support.waiting import eventually

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


def wait(api, reference=DIGEST, region="ap-singapore", timeout=10.0):
    return api.ask(
        "GET",
        f"/v1/wait?repository=shop/api&reference={reference}&region={region}&timeout={timeout}",
    )


async def waiting(hub, api, *arguments):
    """Ask, and give the task once the hub has it waiting."""
    task = asyncio.create_task(wait(api, *arguments))
    await eventually(lambda: len(hub._regional._waiting) > 0 or task.done())
    assert not task.done(), task.result()
    return task


@pytest.fixture
async def api(served):
    await served[1].create()
    return served[1]


async def test_what_is_complete_is_answered_at_once(api):
    """What is complete already isn't waited for."""
    await api.report(entry())
    document = (await wait(api)).expect(200).document
    assert document["digest"] == DIGEST
    (region,) = document["regions"]
    assert (region["region"], region["entry"], region["is_complete"]) == (
        "ap-singapore",
        "complete",
        True,
    )


async def test_the_report_that_completes_it_answers(hub, api):
    """A waiting request is answered by the report of its digest, and by no other."""
    task = await waiting(hub, api)
    await api.report(entry(id="other", digest=OTHER))
    await api.report(entry(id="elsewhere", repository="shop/web"))
    await api.report(entry(state="running"))
    assert not task.done()
    began = time.monotonic()
    await api.report(entry())
    assert (await task).status == 200
    assert time.monotonic() - began < 2.0  # woken, not found by looking every 5 s
    assert len(hub._regional._waiting) == 0
    assert hub._regional._waiting._sleepers == {}


async def test_what_comes_back_after_an_eviction_is_waited_for(hub, api):
    """An entry that goes from complete to evicted and back says at each time how it stands, to who
    waits, to who lists by state, and to who follows.
    """
    await api.report(entry())
    revision = (await api.ask("GET", "/v1/logs")).document["revision"]
    await api.report(entry(state="evicted"))
    assert (await wait(api, timeout=0)).expect(504).error["detail"]["regions"][0]["entry"] == (
        "evicted"
    )
    task = await waiting(hub, api)
    assert (await api.ask("GET", "/v1/logs?state=complete")).document["entries"] == []
    await api.report(entry())
    assert (await task).status == 200
    followed = (await api.ask("GET", f"/v1/logs?follow={revision}")).document["entries"]
    assert [each["state"] for each in followed] == ["complete"], "its last word"
    assert len((await api.ask("GET", "/v1/logs?state=complete")).document["entries"]) == 1


async def test_all_regions(hub, api):
    """All means every replica there is but those on their way out."""
    await api.create("ap-tokyo")
    await api.create("ap-seoul")
    await api.ask("DELETE", "/v1/replicas/registry-fra-18")
    await api.report(entry())
    task = await waiting(hub, api, DIGEST, "all")
    await api.report(entry(), region="ap-tokyo")
    document = (await task).expect(200).document
    assert [each["region"] for each in document["regions"]] == ["ap-singapore", "ap-tokyo"]


async def test_the_time_is_over(api):
    """When the time is over, the answer says which regions miss it, and how it stands there."""
    await api.create("ap-tokyo")
    await api.report(entry())
    await api.report(entry(state="running"), region="ap-tokyo")
    error = (await wait(api, DIGEST, "all", 0.2)).expect(504).error
    assert error["code"] == "NOT_COMPLETE"
    assert "ap-tokyo (running; Running)" in error["message"]
    assert "ap-singapore" not in error["message"]
    states = {each["region"]: each["is_complete"] for each in error["detail"]["regions"]}
    assert states == {"ap-singapore": True, "ap-tokyo": False}


@pytest.mark.parametrize(
    ("history", "is_complete"),
    [
        (["complete"], True),
        (["complete", "evicted"], False),
        (["complete", "evicted", "running", "complete"], True),
        (["complete", "running"], True),
        (["complete", "failed"], True),
        (["failed"], False),
        (["skipped"], False),
        (["superseded"], False),
        (["dead"], False),
    ],
)
async def test_what_counts_as_complete(api, history, is_complete):
    """Complete is what was completed, and neither evicted since nor merely tried again."""
    for number, state in enumerate(history):
        await api.report(entry(id=f"e-{number}", state=state))
    assert (await wait(api, timeout=0)).status == (200 if is_complete else 504)


async def test_what_was_deleted_is_not_complete(api):
    """The deletion of a manifest ends what was complete, that of a tag leaves it."""
    await api.report(entry())
    await api.report(entry(id="tag", what="deletion"))
    assert (await wait(api, timeout=0)).status == 200
    await api.report(entry(id="manifest", what="deletion", tag=None))
    assert (await wait(api, timeout=0)).status == 504


async def test_a_tag_is_what_the_newest_event_says(api):
    """A tag stands for the digest of its newest event, else of the newest entry, else 404."""
    assert (await wait(api, "1.0")).expect(404).error["code"] == "NOT_FOUND"
    await api.report(entry())
    assert (await wait(api, "1.0")).expect(200).document["digest"] == DIGEST
    source = {"sender": "plain", "id": "1", "time": "2026-09-21T10:00:00Z"}
    later = source | {"id": "2", "time": "2026-09-21T11:00:00Z"}
    await api.notify(pushed("1.0") | {"digest": OTHER, "source": later})
    await api.notify(pushed("1.0") | {"digest": DIGEST, "source": source})  # late, or replayed
    await api.notify(pushed("2.0") | {"digest": DIGEST})
    error = (await wait(api, "1.0", timeout=0)).expect(504).error
    assert error["detail"]["digest"] == OTHER
    await api.report(entry(id="e-2", digest=OTHER))
    assert (await wait(api, "1.0")).expect(200).document["digest"] == OTHER
    deleted = {
        "event": "tag.deleted",
        "source": later | {"id": "3", "time": "2026-09-21T12:00:00Z"},
    }
    await api.notify(pushed("1.0") | deleted)
    assert (await wait(api, "1.0")).status == 404


async def test_no_such_region(api):
    """A region without a replica is a mistake, not something to wait for."""
    error = (await wait(api, region="ap-tokyo")).expect(404).error
    assert "ap-tokyo" in error["message"]


async def test_waiting_is_bounded_and_ends_with_the_hub(tmp_path):
    """Only so many wait at once; a hub that ends lets them go to ask again."""
    async with serving_hub(tmp_path, history__max_waiting=2) as (hub, api):
        await api.create()
        tasks = [asyncio.create_task(wait(api)) for _ in range(2)]
        await eventually(lambda: len(hub._regional._waiting) == 2)
        assert (await wait(api)).expect(503).error["code"] == "UNAVAILABLE"
        hub._regional.drain()
        for reply in await asyncio.gather(*tasks):
            assert reply.expect(503).headers["Retry-After"]
        assert len(hub._regional._waiting) == 0


async def test_one_who_leaves_leaves_nothing(hub, api, monkeypatch):
    """A client that goes away takes its place among those who wait along."""
    monkeypatch.setattr("hub.history.waiting.LOOK_SECONDS", 0.05)
    task = await waiting(hub, api, DIGEST, "ap-singapore", 300.0)
    task.cancel()
    await eventually(lambda: len(hub._regional._waiting) == 0, 5.0)
