"""What a hub does all the time goes on after a fault that nobody thought of."""

from pathlib import Path

import pytest

from hub.app import Hub
from hub.regional import Regional
from hub.sentinel.sentinel import Sentinel
from hub.subscription import sse
from hub.subscription.feed import Feed
from proxy.serving import standing
from tests.hub.follower import following
from tests.hub.place import pushed, running_hub
from tests.support.waiting import eventually

WORKS = [
    ("feed", Feed, "run"),
    ("regional", Regional, "run"),
    ("trim", Hub, "_trim"),
    ("lag", Hub, "_measure_lag"),
    ("sentinel", Sentinel, "run"),
]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What crashed is begun anew without a pause."""
    monkeypatch.setattr(standing, "AGAIN_SECONDS", 0.0)


@pytest.mark.parametrize(("name", "owner", "method"), WORKS)
async def test_a_work_that_crashes_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, owner: type, method: str
) -> None:
    """It is logged by its name, and runs again; none dies unnoticed until a restart."""
    begun, real = [], getattr(owner, method)

    async def faulty(*given: object) -> None:
        begun.append(name)
        if len(begun) == 1:
            raise KeyError("nobody thought of it")
        await real(*given)

    monkeypatch.setattr(owner, method, faulty)
    async with running_hub(tmp_path, sentinel__repository="proxima/sentinel") as place:
        await eventually(lambda: len(begun) == 2, what="begun anew")
        (line,) = place.events("work.crashed")
        assert (line["work"], "KeyError" in line["error"]) == (name, True)


async def test_a_tick_that_crashed_loses_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What couldn't be told goes out with the next tick, so that no stream has a gap."""
    real, calls = sse.notice, []

    def faulty(*given: object) -> bytes:
        calls.append(given)
        if len(calls) == 2:
            raise KeyError("nobody thought of it")
        return real(*given)

    monkeypatch.setattr(sse, "notice", faulty)
    async with running_hub(tmp_path) as place, following(place) as follower:
        await eventually(lambda: len(place.hub._feed) == 1)
        await place.post([pushed("v1"), pushed("v2")])
        assert [each.tag for each in await follower.notices(2)] == ["v1", "v2"]
        assert place.events("work.crashed")[0]["work"] == "feed"
