"""The hub's API: whose token opens what, and what is answered to requests that aren't right."""

import json
import re

import pytest

from hub.api.operation import Who
from hub.api.operations import OPERATIONS
from tests.hub.api import OPERATOR, entry
from tests.hub.place import SENDER_SECRET

ID = "registry-fra-9"
ROUTES = sorted(OPERATIONS)


def filled(method: str, path: str) -> str:
    """Give a path with its variables filled in, as the description's examples have them."""
    for name, value in OPERATIONS[method, path].path.items():
        path = path.replace(f"{{{name}}}", value)
    return path


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_whose_token_opens_what(api, method, path):
    """C5: each route answers those it is for, and everybody else is told nothing but 401."""
    await api.create()
    join = api.tokens["ap-singapore"]
    tokens = {
        Who.OPERATOR: OPERATOR,
        Who.REPLICA: join,
        Who.SENDER: SENDER_SECRET,
        "missing": None,
        "wrong": "wrong-token-of-nobody",
        "shortened": join[:-1],
        "longer": OPERATOR + "x",
    }
    who = OPERATIONS[method, path].who
    refused = set()
    for name, token in tokens.items():
        reply = await api.ask(method, filled(method, path), {"odd": 1}, token=token)
        may_too = who is Who.DNS_SERVER and name == Who.OPERATOR
        if who is Who.ANYBODY or name == who or may_too:
            assert reply.status not in (401, 403), (name, reply.text)
        else:
            assert reply.status == 401, (name, reply.text)
            refused.add(json.dumps(reply.error))
    assert len(refused) <= 1


@pytest.mark.parametrize(
    ("scheme", "status"),
    [("Bearer", 200), ("bearer", 200), ("Basic", 401), ("", 401), ("Bearer Bearer", 401)],
)
async def test_schemes(api, scheme, status):
    """A token counts as a bearer's alone."""
    headers = {"Authorization": f"{scheme} {OPERATOR}".strip()}
    reply = await api.ask("GET", "/v1/replicas", token=None, headers=headers)
    assert reply.status == status


async def test_every_route_that_is_served_is_described_and_the_other_way_round(hub):
    """The table of descriptions and that of routes are the same."""
    served = {
        (each.method, re.sub(r"\{id:.*?\}(?=/|$)", "{id}", each.resource.canonical))
        for each in hub._listener._runner.app.router.routes()
        if each.method != "HEAD"
    }
    assert served == set(OPERATIONS)


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "code", "words"),
    [
        ("POST", "/v1/replicas", b"", 400, "INVALID", "JSON"),
        ("POST", "/v1/replicas", b"{", 400, "INVALID", "JSON"),
        ("POST", "/v1/replicas", b"[" * 100_000, 400, "INVALID", "JSON"),
        ("POST", "/v1/replicas", b"[]", 400, "INVALID", "object"),
        ("POST", "/v1/replicas", b"{}", 400, "INVALID", "region"),
        ("POST", "/v1/replicas", b'{"region": 9}', 400, "INVALID", "region"),
        ("POST", "/v1/replicas", b'{"region": null}', 400, "INVALID", "region"),
        ("POST", "/v1/replicas", b'{"region": "ap-tokyo\\n"}', 400, "INVALID", "region"),
        ("POST", "/v1/replicas", b'{"region": "ap-tokyo", "size": 1}', 400, "INVALID", "size"),
        (
            "POST",
            "/v1/replicas",
            b'{"region": "ap-tokyo", "replication": {"speed": 1}}',
            400,
            "INVALID",
            "replication.speed",
        ),
        (
            "POST",
            "/v1/replicas",
            b'{"region": "ap-tokyo", "replication": {"backfill": {"policy": "some"}}}',
            400,
            "INVALID",
            "replication.backfill.policy: expected one of all, newest, none",
        ),
        (
            "POST",
            "/v1/replicas",
            b'{"region": "ap-tokyo", "replication": {"repositories": ["a", "A b"]}}',
            400,
            "INVALID",
            "replication.repositories[1]",
        ),
        (
            "POST",
            "/v1/replicas",
            b'{"region": "ap-tokyo", "replication": {"bandwidth_bytes": -1}}',
            400,
            "INVALID",
            "replication.bandwidth_bytes",
        ),
        ("POST", "/v1/replicas", b" " * (1 << 20) + b"{}", 413, "TOO_LARGE", "larger"),
        ("PATCH", f"/v1/replicas/{ID}", b"{}", 400, "INVALID", "replication"),
        ("PATCH", f"/v1/replicas/{ID}", b'{"replication": 1}', 400, "INVALID", "replication"),
        ("PATCH", "/v1/replicas/none-1", b'{"replication": {}}', 404, "NOT_FOUND", "none-1"),
        ("GET", "/v1/replicas/none-1", None, 404, "NOT_FOUND", "none-1"),
        ("DELETE", "/v1/replicas/none-1", None, 404, "NOT_FOUND", "none-1"),
        ("GET", "/v1/replicas/a%2Fb", None, 404, "NOT_FOUND", "no such"),
        ("GET", "/v1/nothing", None, 404, "NOT_FOUND", "no such"),
        ("PUT", "/v1/replicas", b"{}", 405, "METHOD_NOT_ALLOWED", "method"),
        ("GET", "/v1/logs?colour=red", None, 400, "INVALID", "colour"),
        ("GET", "/v1/logs?limit=1&limit=2", None, 400, "INVALID", "limit"),
        ("GET", "/v1/logs?limit=0", None, 400, "INVALID", "limit"),
        ("GET", "/v1/logs?limit=1001", None, 400, "INVALID", "limit"),
        ("GET", "/v1/logs?limit=1e2", None, 400, "INVALID", "limit"),
        ("GET", "/v1/logs?state=done", None, 400, "INVALID", "state"),
        ("GET", "/v1/logs?digest=sha256:1", None, 400, "INVALID", "digest"),
        ("GET", "/v1/logs?since=nan", None, 400, "INVALID", "since"),
        ("GET", "/v1/logs?after=x", None, 400, "INVALID", "after"),
        ("GET", "/v1/logs?after=1&follow=1", None, 400, "INVALID", "follow"),
        ("GET", "/v1/wait", None, 400, "INVALID", "repository"),
        ("GET", "/v1/wait?repository=shop/api", None, 400, "INVALID", "reference"),
        ("GET", "/v1/wait?repository=shop/api&reference=a:b", None, 400, "INVALID", "reference"),
    ],
)
async def test_requests_that_arent_right(api, method, path, data, status, code, words):
    """What can't be done is answered in the API's form, with the place and what was expected."""
    headers = {"Content-Type": "application/json"}
    reply = await api.ask(method, path, data=data or b"", headers=headers)
    assert reply.expect(status).error["code"] == code
    assert words in reply.error["message"]
    assert (await api.ask("GET", "/v1/replicas")).document == {"replicas": []}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "status"),
        ({"status": None}, "status"),
        ({"status": {}}, "status.state"),
        ({"status": {"state": "Running"}}, "status.state"),
        ({"status": {"state": "running", "cursor": "1"}}, "status.cursor"),
        ({"status": {"state": "running", "queue": 1.5}}, "status.queue"),
        ({"status": {"state": "running", "lag_seconds": -1}}, "status.lag_seconds"),
        ({"status": {"state": "running"}, "entries": {}}, "entries"),
        ({"status": {"state": "running"}, "entries": [{}] * 1001}, "entries"),
    ],
)
async def test_reports_that_cant_be_read(api, document, words):
    """A report without a readable status is refused as a whole, and nothing of it is kept."""
    await api.create()
    reply = await api.ask("POST", "/v1/reports", document, token=api.tokens["ap-singapore"])
    assert reply.expect(400).error["code"] == "INVALID"
    assert words in reply.error["message"]
    assert await api.state(ID) == "Pending"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"id": "a b"}, "id"),
        ({"repository": "Shop"}, "repository"),
        ({"digest": "sha256:abc"}, "digest"),
        ({"what": "film"}, "what"),
        ({"state": "done"}, "state"),
        ({"trigger": None}, "trigger"),
        ({"bytes_moved": -1}, "bytes_moved"),
        ({"bytes_moved": 2**53}, "bytes_moved"),
        ({"attempts": True}, "attempts"),
        ({"started_at": "now"}, "started_at"),
        ({"replica": "registry-fra-25"}, "replica"),
        ({"region": "ap-tokyo"}, "region"),
    ],
)
async def test_a_bad_entry_keeps_none_of_its_neighbours_out(api, changed, words):
    """An entry that can't be read, or is another replica's, is refused by its place, alone."""
    await api.create()
    bad = entry(id="bad") | changed
    outcome = (await api.report(entry(id="a"), bad, entry(id="b"))).expect(200).document
    assert outcome["kept"] == 2
    ((index, reason),) = [(each["index"], each["reason"]) for each in outcome["refused"]]
    assert index == 1
    assert words in reason
    logs = (await api.ask("GET", "/v1/logs")).document["entries"]
    assert {each["id"] for each in logs} == {"a", "b"}


async def test_a_newer_replica_is_understood(api):
    """Fields that a newer replica adds are left out; texts for people are cut and escaped."""
    await api.create()
    said = entry(error="broke\x00 \ud800" + "x" * 5_000, colour="red")
    reply = await api.report(said, status={"mood": "good", "version": "1.0\n"})
    assert reply.expect(200).document == {"kept": 1, "refused": []}
    (kept,) = (await api.ask("GET", "/v1/logs")).document["entries"]
    assert kept["error"].startswith("broke\\x00 \\ud800xxx")
    assert len(kept["error"]) == 1_024
    assert "colour" not in kept
