"""Tag lists: the primary's, page by page; in an outage the last complete one, else 503."""

from collections.abc import Iterator

import pytest

from tests.fills.calls import causes, get
from tests.fills.in_process import InProcess
from tests.support.hostile import (
    TAGS,
    Header,
    HostileUpstream,
    OtherBody,
    Page,
    Settings,
    Status,
)
from tests.support.pushing import put_manifest
from tests.support.registry_client import Reply
from tests.tags.scene import NEW, OLD, STALE, is_stale, name

LIST = "/v2/app/tags/list"
NAMES = ["a", "b", "c", "v1", "v10", "v2"]
STALE_LIMIT_SECONDS = 86_400.0


@pytest.fixture(autouse=True)
def some_tags(upstream: HostileUpstream) -> None:
    for tag in NAMES:
        name(upstream, OLD, tag)


def pages(replica: InProcess, target: str) -> Iterator[Reply]:
    """Follow the pages of a list, as clients do."""
    while target:
        reply = replica.client.get(target).expect(200)
        yield reply
        link = reply.header("Link") or ""
        assert not link or link.endswith('>; rel="next"')
        target = link.removeprefix("<").partition(">")[0]


def tags_in(replica: InProcess, target: str) -> list[str]:
    return [tag for page in pages(replica, target) for tag in page.json()["tags"]]


def test_a_list_is_always_the_primarys(upstream: HostileUpstream, replica: InProcess) -> None:
    """A list is asked for each time, so that it never lacks what was just pushed elsewhere."""
    for extra in ("x", "y"):
        name(upstream, NEW, extra)
        with causes(upstream, get(LIST)):
            reply = replica.client.get(LIST).expect(200)
        assert extra in reply.json()["tags"]
        assert not is_stale(reply)


@pytest.mark.parametrize("size", [1, 2, 4, 6, 100])
def test_pages_lead_to_us(upstream: HostileUpstream, replica: InProcess, size: int) -> None:
    """Pages are the primary's, and the way to the next one is ours, without a host."""
    found = list(pages(replica, f"{LIST}?n={size}"))
    assert [tag for page in found for tag in page.json()["tags"]] == NAMES
    for page in found[:-1]:
        assert (page.header("Link") or "").startswith("</v2/app/tags/list?")
    assert upstream.count("GET", TAGS) == len(found)


@pytest.mark.parametrize(
    "origin", ["http://{address}", "https://{address}", "http://localhost", "//127.0.0.1:1"]
)
def test_an_absolute_next_page_leads_to_us(
    upstream: HostileUpstream, replica: InProcess, origin: str
) -> None:
    """A next page at one of the primary's names or ours, whatever the scheme, becomes a path."""
    url = origin.format(address=upstream.address) + f"{LIST}?last=b%2Bc&n=2"
    upstream.inject(Header("Link", f'<{url}>; rel="next"'), path=TAGS)
    reply = replica.client.get(f"{LIST}?n=2").expect(200)
    assert reply.header("Link") == f'<{LIST}?last=b%2Bc&n=2>; rel="next"'


@pytest.mark.parametrize(
    "link",
    [
        '<http://127.0.0.2/v2/app/tags/list?n=2>; rel="next"',
        '<//evil.example/v2/app/tags/list?n=2>; rel="next"',
        '<http://[>; rel="next"',
        "http://127.0.0.1/v2/app/tags/list",
        "<>",
    ],
)
def test_a_foreign_next_page_is_refused(
    upstream: HostileUpstream, replica: InProcess, link: str
) -> None:
    """C13: a next page elsewhere, or one that can't be read, is 502."""
    lie = upstream.inject(Header("Link", link), path=TAGS)
    replica.client.get(f"{LIST}?n=2").expect(502)
    assert lie.fired == 1


def test_an_outage_shows_the_last_complete_list(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """In an outage the last complete list is given, marked stale, for as long as `stale_limit`."""
    replica.client.get(LIST).expect(200)
    replica.client.get(f"{LIST}?n=1").expect(200)
    upstream.cut()
    replica.clock.advance(100)
    reply = replica.client.get(LIST).expect(200)
    assert reply.json() == {"name": "app", "tags": NAMES}
    assert reply.header("Warning") == STALE
    assert 100 <= int(reply.header("Age") or 0) <= 105
    replica.clock.advance(STALE_LIMIT_SECONDS)
    assert replica.client.get(LIST).expect(503).header("Retry-After")


@pytest.mark.parametrize("size", [1, 2, 4, 6, 100])
def test_an_outage_pages_the_last_complete_list(
    upstream: HostileUpstream, replica: InProcess, size: int
) -> None:
    """In an outage pages are cut from the last complete list; together they are all of it."""
    replica.client.get(LIST).expect(200)
    upstream.cut()
    found = list(pages(replica, f"{LIST}?n={size}"))
    assert [len(page.json()["tags"]) <= size for page in found] == [True] * len(found)
    assert [tag for page in found for tag in page.json()["tags"]] == NAMES
    assert all(map(is_stale, found))
    assert tags_in(replica, f"{LIST}?last=c") == ["v1", "v10", "v2"]
    assert tags_in(replica, f"{LIST}?n=0") == []


def test_an_unsorted_list_is_paged_as_a_whole(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """In an outage pages lack nothing, in whatever order the primary listed."""
    body = b'{"name": "app", "tags": ["v2", "a", "c", "b"]}'
    upstream.inject(OtherBody(body), path=TAGS)
    replica.client.get(LIST).expect(200)
    upstream.cut()
    assert sorted(tags_in(replica, f"{LIST}?n=1")) == ["a", "b", "c", "v2"]
    assert replica.client.get(LIST).expect(200).body == body


@pytest.mark.parametrize("target", [LIST, f"{LIST}?n=3"])
def test_a_part_of_a_list_is_never_shown_as_one(
    upstream: HostileUpstream, replica: InProcess, target: str
) -> None:
    """In an outage a list of which only pages were seen is 503: a subset would be acted upon."""
    upstream.settings = Settings(tags_page=3)
    list(pages(replica, target))
    upstream.cut()
    replica.client.get(LIST).expect(503)
    replica.client.get(f"{LIST}?n=3").expect(503)


@pytest.mark.parametrize(
    "fault",
    [Status(500), Status(503), Status(429), Page(404), Page(404, b"nothing here", "text/plain")],
    ids=str,
)
def test_what_isnt_the_registrys_answer_is_an_outage(
    upstream: HostileUpstream, replica: InProcess, fault: Status | Page
) -> None:
    """F12: 5xx, 429 and pages of somebody on the way leave the last complete list."""
    replica.client.get(LIST).expect(200)
    failing = upstream.inject(fault, path=TAGS)
    assert is_stale(replica.client.get(LIST).expect(200))
    assert failing.fired == 1


@pytest.mark.parametrize("status", [401, 403, 404, 412, 451])
def test_a_refusal_is_the_answer(
    upstream: HostileUpstream, replica: InProcess, status: int
) -> None:
    """C16: what the registry refuses is refused, whatever is kept."""
    replica.client.get(LIST).expect(200)
    refusal = upstream.inject(Status(status), path=TAGS)
    replica.client.get(LIST).expect(status)
    assert refusal.fired == 1


NO_LISTS = [b"<html>welcome</html>", b"[]", b'{"name": "app"}', b'{"tags": "v1"}', b'{"tags": [1]}']


@pytest.mark.parametrize("body", NO_LISTS)
def test_what_is_no_list_is_neither_given_nor_kept(
    upstream: HostileUpstream, replica: InProcess, body: bytes
) -> None:
    """A 200 that is no tag list is 502, and doesn't replace the list that is kept."""
    replica.client.get(LIST).expect(200)
    lie = upstream.inject(OtherBody(body), path=TAGS)
    replica.client.get(LIST).expect(502)
    assert lie.fired == 1
    upstream.cut()
    assert replica.client.get(LIST).expect(200).json()["tags"] == NAMES


def test_an_empty_list_is_a_list(upstream: HostileUpstream, replica: InProcess) -> None:
    """A repository without tags may say null."""
    upstream.inject(OtherBody(b'{"name": "app", "tags": null}'), path=TAGS)
    assert replica.client.get(LIST).expect(200).json()["tags"] is None
    upstream.cut()
    assert replica.client.get(f"{LIST}?n=5").expect(200).json()["tags"] == []


def test_a_list_without_end_is_refused(upstream: HostileUpstream, replica: InProcess) -> None:
    """CVE-2023-2253: a list of more than 16 MiB is 502."""
    body = b'{"name": "app", "tags": ["' + b"x" * (17 << 20) + b'"]}'
    upstream.inject(OtherBody(body), path=TAGS)
    replica.client.get(LIST).expect(502)


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_push_or_deletion_ends_the_kept_list(
    upstream: HostileUpstream, replica: InProcess, is_deleted: bool
) -> None:
    """A list that a push or deletion through us has made wrong isn't shown in an outage."""
    upstream.settings.checks_blobs = False
    replica.client.get(LIST).expect(200)
    if is_deleted:
        replica.client.delete("/v2/app/manifests/a").expect(202)
    else:
        put_manifest(replica.client, "app", NEW, "new").expect(201)
    upstream.cut()
    replica.client.get(LIST).expect(503)
