"""The replication log: kept once, found by filters, read by pages and by changes, trimmed."""

import pytest

from tests.hub.api import entry, serving_hub

ENDS = ("source", "destination")
DIGEST = "sha256:" + "b" * 64


async def ids(api, query: str = "") -> list[str]:
    reply = await api.ask("GET", f"/v1/logs{query}")
    return [each["id"] for each in reply.expect(200).document["entries"]]


async def test_an_entry_is_one_however_often_it_is_reported(api):
    """Reports of one entry replace each other, and a report sent twice changes nothing."""
    await api.create()
    for state, kept in (("running", 1), ("running", 0), ("complete", 1), ("complete", 0)):
        outcome = (await api.report(entry(state=state), entry(state=state))).document
        assert outcome == {"kept": kept, "refused": []}
    page = (await api.ask("GET", "/v1/logs")).document
    (only,) = page["entries"]
    assert (only["state"], only["replica"], only["region"]) == (
        "complete",
        "registry-fra-9",
        "ap-singapore",
    )
    assert page["revision"] == "2"


async def test_entries_of_two_replicas_may_have_one_id(api):
    """An entry is known by its replica and its id together; what it doesn't say of source and
    destination is known here.
    """
    for region in ("ap-singapore", "ap-tokyo"):
        await api.create(region)
        said = {name: value for name, value in entry().items() if name not in ENDS}
        (await api.report(said, region=region)).expect(200)
    logs = (await api.ask("GET", "/v1/logs")).document["entries"]
    assert [each["region"] for each in logs] == ["ap-tokyo", "ap-singapore"]
    assert {each["source"] for each in logs} == {"registry.example.com"}
    assert [each["destination"] for each in logs] == ["registry-fra-25", "registry-fra-9"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "dcba"),
        ("?repository=shop/api", "dba"),
        ("?tag=2.0", "b"),
        ("?state=failed", "c"),
        (f"?digest={DIGEST}", "d"),
        ("?region=ap-tokyo", "d"),
        ("?repository=shop/api&state=complete&region=ap-singapore", "ba"),
        ("?repository=nothing", ""),
        ("?since=1790000010", "dcb"),
        ("?until=1790000010", "a"),
        ("?since=1790000010&until=1790000020", "b"),
    ],
)
async def test_filters(api, query, found):
    """Entries are found by repository, tag, digest, state, region and time, the newest first."""
    await api.create()
    await api.create("ap-tokyo")
    await api.report(entry(id="a"))
    api.clock.seconds += 10
    await api.report(entry(id="b", tag="2.0"))
    api.clock.seconds += 10
    await api.report(entry(id="c", repository="shop/web", state="failed"))
    await api.report(entry(id="d", digest=DIGEST), region="ap-tokyo")
    assert "".join(await ids(api, query)) == found


async def test_pages(api):
    """Pages hold each entry once, also while new ones come and old ones change."""
    await api.create()
    await api.report(*(entry(id=f"e{number}", state="running") for number in range(10)))
    seen: list[str] = []
    after = ""
    for number in range(5):
        page = (await api.ask("GET", f"/v1/logs?limit=3{after}")).document
        seen += [each["id"] for each in page["entries"]]
        await api.report(entry(id=f"new{number}"), entry(id="e2"))
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == [f"e{number}" for number in reversed(range(10))]


async def test_following(api):
    """A follower sees each change once, in order, and nothing twice."""
    await api.create()
    await api.report(entry(id="a", state="running"))
    revision = (await api.ask("GET", "/v1/logs")).document["revision"]
    await api.report(entry(id="b", state="running"), entry(id="c"))
    await api.report(entry(id="a"))
    seen = []
    for _ in range(4):
        page = (await api.ask("GET", f"/v1/logs?limit=2&follow={revision}")).document
        seen += [(each["id"], each["state"]) for each in page["entries"]]
        revision = page["next"]
    assert seen == [("b", "running"), ("c", "complete"), ("a", "complete")]


async def test_trimming(hub, api):
    """What is past its time goes, and what changed lately stays; revisions are never used again."""
    await api.create()
    await api.report(*(entry(id=f"e{number}") for number in range(1_000)))
    api.clock.seconds += 300
    await api.report(entry(id="e5", state="evicted"), entry(id="late"))
    api.clock.seconds += 7 * 86_400 - 299
    before = (await api.ask("GET", "/v1/logs")).document["revision"]
    history = hub._regional._history
    assert await history.trim() == 999
    assert await ids(api) == ["late", "e5"]
    api.clock.seconds += 600
    assert await history.trim() == 2
    await api.report(entry(id="again"))
    assert (await api.ask("GET", "/v1/logs")).document["revision"] == str(int(before) + 1)


async def test_the_log_stays_within_its_number(tmp_path):
    """Beyond its largest number the oldest entries go."""
    async with serving_hub(tmp_path, history__max_entries=1_000) as (hub, api):
        await api.create()
        for batch in range(2):
            await api.report(*(entry(id=f"{batch}-{number}") for number in range(800)))
        assert await hub._regional._history.trim() == 600
        assert await ids(api, "?limit=1") == ["1-799"]
        oldest = await ids(api, "?limit=1&after=602")
        assert oldest == ["0-600"]
        assert await ids(api, "?limit=1&after=601") == []
