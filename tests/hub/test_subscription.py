"""`GET /v1/events`: everything, once, in order; whoever can't follow bothers nobody."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from config import ConfigError
from hub.members import Member
from hub.subscription import events, feed, sse
from proxy.net.hub import SILENCE_SECONDS
from tests.hub.follower import Follower, following
from tests.hub.place import ADMIN, Place, hub_settings, pushed, running_hub
from tests.support.raw_http import raw_connection, request_bytes
from tests.support.waiting import eventually


async def fill(place: Place, first: int, number: int) -> None:
    """Log events v<first>.. in one notification each hundred."""
    for start in range(first, first + number, 100):
        end = min(start + 100, first + number)
        await place.post([pushed(f"v{tag}") for tag in range(start, end)])


async def test_a_stream_catches_up_and_goes_on(place: Place) -> None:
    """What was logged before comes first, then what happens, each once and in order."""
    await fill(place, 1, 1200)
    async with following(place, 100) as follower:
        before = await follower.notices(1100)
        await fill(place, 1201, 50)
        after = await follower.notices(50)
    assert [each.id for each in before + after] == [
        f"{place.epoch}:{seq}" for seq in range(101, 1251)
    ]
    assert [each.tag for each in before + after] == [f"v{tag}" for tag in range(101, 1251)]


async def test_a_stream_that_joins_amid_a_burst_misses_nothing(place: Place) -> None:
    """Catching up and the live edge meet without a gap or a repetition."""
    burst = asyncio.create_task(_burst(place, 60))
    seen = []
    for _ in range(12):
        async with following(place) as follower:
            seen.append([each.id for each in await follower.notices(30)])
    await burst
    assert all(each == [f"{place.epoch}:{seq}" for seq in range(1, 31)] for each in seen)


async def _burst(place: Place, number: int) -> None:
    for tag in range(number):
        await place.post(pushed(f"v{tag}"))
        await asyncio.sleep(0.005)


async def test_a_cursor_at_the_head_is_not_turned_back(tmp_path: Path) -> None:
    """Who knows the head before it has gone out is sent what follows it, not the head again."""
    async with running_hub(tmp_path, subscription__heartbeat="5s") as place:
        feed = place.hub._feed
        await place.post(pushed("v0"))
        await eventually(lambda: feed.position == 1)
        await eventually(lambda: feed._wake._waiters)
        asleep, feed._wake = feed._wake, asyncio.Event()  # no tick until it is woken
        await place.post([pushed("v1"), pushed("v2")])
        assert (place.head, feed.position) == (3, 1)
        async with following(place, 3) as follower:
            await eventually(lambda: len(feed) == 1)
            asleep.set()
            await place.post(pushed("v3"))
            assert (await follower.next()).tag == "v3"


async def test_catching_up_reads_the_log_where_memory_ends(tmp_path: Path) -> None:
    """What is no longer in memory, or was logged before a restart, comes from the database."""
    async with running_hub(tmp_path) as place:
        await fill(place, 1, 1100)
        epoch = place.epoch
    async with running_hub(tmp_path) as place:
        assert (place.epoch, place.head) == (epoch, 1100)
        await fill(place, 1101, 10)
        async with following(place) as follower:
            assert [each.tag for each in await follower.notices(1110)] == [
                f"v{tag}" for tag in range(1, 1111)
            ]


async def test_memory_of_what_went_out_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told lately is kept for those who come back, up to so many bytes."""
    monkeypatch.setattr(feed, "RECENT_BYTES", 5_000)
    async with running_hub(tmp_path) as place:
        await fill(place, 1, 100)
        await eventually(lambda: place.hub._feed.position == 100)
        assert place.hub._feed.recent(0) is None
        position, chunk = place.hub._feed.recent(95)
        assert (position, chunk.count(b"event: notice")) == (100, 5)
        assert 4_000 < sum(len(each) for _, each in place.hub._feed._recent) <= 5_000
        async with following(place) as follower:
            assert len(await follower.notices(100)) == 100


@pytest.mark.parametrize(
    ("after", "status", "code"),
    [
        ("", 400, "INVALID"),
        ("5", 400, "INVALID"),
        ("{epoch}:-1", 400, "INVALID"),
        ("{epoch}:01", 400, "INVALID"),
        ("{epoch}:1\n", 400, "INVALID"),
        ("{epoch}:3", 410, "CURSOR_GONE"),
        ("0123456789abcdef:1", 410, "CURSOR_GONE"),
    ],
)
async def test_a_cursor_that_leads_nowhere(
    place: Place, after: str, status: int, code: str
) -> None:
    """F15: another epoch, or a number beyond the head, is 410 and tells where the log is."""
    await fill(place, 1, 2)
    async with following(place, after.format(epoch=place.epoch)) as follower:
        assert follower.answer.status == status
        (error,) = (await follower.answer.json())["errors"]
    assert error["code"] == code
    if status == 410:
        assert error["detail"] == {"epoch": place.epoch, "head": 2}


async def test_a_cursor_in_what_was_trimmed_is_gone(tmp_path: Path) -> None:
    """F15: a replica that was away for longer than events are kept is told so."""
    async with running_hub(tmp_path, events__max_events=1000) as place:
        await fill(place, 1, 1010)
        assert await place.hub._log.trim() == 10
        async with following(place, 9) as follower:
            assert follower.answer.status == 410
        async with following(place, 10) as follower:
            assert (await follower.next()).tag == "v11"


async def test_a_replica_that_may_not_follow_is_refused(place: Place) -> None:
    """A draining replica gets 403, an unknown one 401."""
    draining = place.members.add("draining", may_follow=False)
    for headers, status in ((draining, 403), ({"Authorization": "Bearer nobody's"}, 401)):
        async with following(place, 0, headers) as follower:
            assert follower.answer.status == status


async def test_a_quiet_stream_has_a_heartbeat(tmp_path: Path) -> None:
    """Each heartbeat names the head and moves no cursor."""
    async with running_hub(tmp_path, subscription__heartbeat="100ms") as place:
        await fill(place, 1, 3)
        async with following(place, 3) as follower:
            beats = [await follower.next("heartbeat") for _ in range(3)]
    assert [(each.data, each.id) for each in beats] == [({"head": 3}, "")] * 3


def test_a_heartbeat_is_well_within_a_replicas_patience(tmp_path: Path) -> None:
    """No setting lets a quiet stream look dead: three may be late before that."""
    too_long = f"{SILENCE_SECONDS / 4 + 1:.0f}s"
    with pytest.raises(ConfigError, match="heartbeat"):
        hub_settings(tmp_path, subscription__heartbeat=too_long)


async def test_settings_are_announced_to_whom_they_concern(place: Place) -> None:
    """One replica is told, or all of them."""
    other = place.members.add("other")
    async with following(place) as mine, following(place, 0, other) as theirs:
        await eventually(lambda: len(place.hub._feed) == 2)
        place.hub._feed.tell_settings("other")
        assert await _kinds(theirs, 2) == ["heartbeat", "settings"]
        place.hub._feed.tell_settings()
        await place.post(pushed("v1"))
        assert await _kinds(mine, 3) == ["heartbeat", "settings", "notice"]
        assert await _kinds(theirs, 2) == ["settings", "notice"]


async def _kinds(follower: Follower, number: int) -> list[str]:
    return [(await anext(follower._events)).event for _ in range(number)]


async def test_a_replica_that_is_deleted_is_let_go(place: Place) -> None:
    """Its streams end in order, those of others go on."""
    other = place.members.add("other")
    async with following(place) as mine, following(place, 0, other) as theirs:
        await eventually(lambda: place.hub._feed.following() == {"replica", "other"})
        place.hub._feed.end("other")
        assert {each.event for each in await theirs.rest()} == {"heartbeat"}
        await place.post(pushed("v1"))
        assert (await mine.next()).tag == "v1"


@pytest.mark.parametrize("is_known", [True, False], ids=["draining", "forgotten"])
async def test_a_replica_that_is_deleted_as_it_joins_is_let_go(
    place: Place, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    """One that may no more once it was asked for, but had no stream yet, gets none that stays."""
    token, asked = "token-replica", []
    real = place.members.by_token

    async def deleted_after(given: str) -> Member | None:
        found = await real(given)
        if not asked:
            place.hub._feed.end("replica")  # there is nothing to be ended yet
            place.members.by.pop(token)
            if is_known:
                place.members.add("replica", may_follow=False)
        asked.append(given)
        return found

    monkeypatch.setattr(place.members, "by_token", deleted_after)
    async with asyncio.timeout(10), following(place) as follower:
        assert {each.event for each in await follower.rest()} == {"heartbeat"}
    assert (len(asked), len(place.hub._feed)) == (2, 0)


async def test_a_replica_that_comes_back_again_and_again_has_few_streams(place: Place) -> None:
    """The oldest of too many streams is cut."""
    async with AsyncExitStack() as stack:
        followers = []
        for number in range(1, 6):
            followers.append(await stack.enter_async_context(following(place)))
            await eventually(lambda n=number: len(place.hub._feed) == min(n, 4))
        with pytest.raises(aiohttp.ClientError):
            await followers[0].rest()


async def test_the_number_of_streams_is_bounded(tmp_path: Path) -> None:
    """One too many gets 503 and is told when to try again."""
    async with running_hub(tmp_path, subscription__max_streams=1) as place, following(place):
        await eventually(lambda: len(place.hub._feed) == 1)
        async with following(place) as refused:
            assert refused.answer.status == 503
            assert refused.answer.headers["Retry-After"] == "5"


LONG_BYTES = 40 << 10


def long_push(tag: str) -> dict[str, object]:
    """Give a push that takes 30 KiB in the log, and no more than LONG_BYTES."""
    descriptor = {"mediaType": "application/x", "digest": f"sha256:{'a' * 64}", "size": 1}
    return pushed(tag) | {"references": [descriptor] * 250}


async def test_who_reads_nothing_is_cut_and_slows_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that reads nothing is cut after a time, until then little waits for it; one that
    reads has everything in time.
    """
    monkeypatch.setattr(events, "WRITE_SECONDS", 2.0)
    async with running_hub(tmp_path, subscription__buffer="512KiB") as place:
        address = place.url.removeprefix("http://")
        request = request_bytes(
            "GET",
            f"/v1/events?after={place.epoch}:0",
            address,
            ("Authorization", place.members.add("stalled")["Authorization"]),
        )
        with raw_connection(address, receive_buffer_bytes=4096) as stalled:
            stalled.send(request)
            async with following(place) as follower:
                await eventually(lambda: len(place.hub._feed) == 2)
                for tag in range(0, 1000, 10):
                    await place.post([long_push(f"v{each}") for each in range(tag, tag + 10)])
                    assert [each.tag for each in await follower.notices(10)][-1] == f"v{tag + 9}"
                    waiting = [stream._bytes for stream in place.hub._feed._streams]
                    assert max(waiting) < (512 << 10) + 10 * LONG_BYTES
                    if (await place.metrics()).value("proxima_hub_late_streams_total"):
                        break
                await eventually(lambda: place.hub._feed.following() == {"replica"}, 5)
            assert place.events("stream.cut")[0]["replica"] == "stalled"
            assert (await place.metrics()).value("proxima_hub_cut_streams_total") == 1


async def test_a_replay_cuts_nobody(tmp_path: Path) -> None:
    """A tick of many times the bound reaches those who keep up, whole and in order."""
    async with running_hub(tmp_path, subscription__buffer="64KiB") as place:
        await fill(place, 0, 3000)
        await eventually(lambda: place.hub._feed.position == 3000)
        other = place.members.add("other")
        async with following(place, 3000) as mine, following(place, 3000, other) as theirs:
            await eventually(lambda: len(place.hub._feed) == 2)
            status, document = await place.ask("POST", "/v1/replay", ADMIN, {"after": 0})
            assert (status, document["replayed"]) == (200, 3000)
            await place.post(pushed("last"))
            seen = await asyncio.gather(mine.notices(3001), theirs.notices(3001))
        expected = [*(f"v{tag}" for tag in range(3000)), "last"]
        assert all([each.tag for each in one] == expected for one in seen)
        size = sum(len(chunk) for seq, chunk in place.hub._feed._recent if seq <= 6000)
        assert size > 10 * place.settings.subscription.buffer
        assert place.events("stream.cut") == []


async def test_several_replays_cut_nobody_who_is_slow(tmp_path: Path) -> None:
    """One that reads late, when far more than the bound has come, is told everything from the
    database over the same connection, once and in order, and of its settings too.
    """
    async with running_hub(tmp_path, subscription__buffer="64KiB") as place:
        await fill(place, 0, 100)
        for tag in range(20):
            await place.post([long_push(f"long{tag}-{each}") for each in range(10)])
        await eventually(lambda: place.hub._feed.position == 300)
        async with following(place, 300) as slow:
            await eventually(lambda: len(place.hub._feed) == 1)
            for _ in range(3):
                await place.ask("POST", "/v1/replay", ADMIN, {"after": 0, "upto": 300})
                await eventually(lambda: place.hub._feed.position == place.head)
                place.hub._feed.tell_settings()
            late = (await place.metrics()).value("proxima_hub_late_streams_total")
            assert late >= 1, "it never fell behind"
            sent = [await anext(slow._events)]
            while sum(each.event == "notice" for each in sent) < place.head - 300:
                sent.append(await anext(slow._events))
            await place.post(pushed("last"))
            assert (await slow.next()).tag == "last"
        notices = [each.id for each in sent if each.event == "notice"]
        assert notices == [f"{place.epoch}:{seq}" for seq in range(301, place.head)]
        assert any(each.event == "settings" for each in sent)
        assert place.events("stream.cut") == []


async def test_two_hundred_replicas_are_kept_current(place: Place) -> None:
    """Each of 200 streams has every event once and in order, each event encoded once for all."""
    encoded: list[int] = []
    real = sse.notice

    def counted(epoch, entry):
        encoded.append(entry.seq)
        return real(epoch, entry)

    sse.notice = counted
    try:
        connector = aiohttp.TCPConnector(limit=0)
        async with AsyncExitStack() as stack, aiohttp.ClientSession(connector=connector) as http:
            place.http, before = http, place.http
            followers = [
                await stack.enter_async_context(
                    following(place, 0, place.members.add(f"replica-{number}"))
                )
                for number in range(200)
            ]
            await eventually(lambda: len(place.hub._feed) == 200)
            place.http = before
            await fill(place, 0, 300)
            seen = await asyncio.gather(*(each.notices(300) for each in followers))
    finally:
        sse.notice = real
    expected = [f"v{tag}" for tag in range(300)]
    assert all([each.tag for each in one] == expected for one in seen)
    assert encoded == list(range(1, 301))


async def test_a_drain_spreads_the_replicas_that_come_back(tmp_path: Path) -> None:
    """F15: streams end in order, after what was logged, each with another time to come back."""
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(running_hub(tmp_path))
        followers = [
            await stack.enter_async_context(
                following(place, 0, place.members.add(f"replica-{number}"))
            )
            for number in range(20)
        ]
        await eventually(lambda: len(place.hub._feed) == 20)
        await place.post(pushed("last"))
        stopping = asyncio.create_task(place.hub.stop())
        ends = [await each.rest() for each in followers]
        await stopping
    times = [one[-1].retry for one in ends]
    assert all([each.tag for each in one if each.event == "notice"] == ["last"] for one in ends)
    assert all(time is not None and 0 <= time <= 30_000 for time in times)
    assert len(set(times)) > 10
