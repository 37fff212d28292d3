"""One line of JSON for each request and event, whatever it holds; a fixed number of series."""

import contextlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.telemetry.logs import MAX_TEXT_CHARACTERS, EventLog, Level, RequestLine
from tests.support import images
from tests.support.accounts import Accounts
from tests.support.hostile import BasicLogin, HostileUpstream, hostile_upstream
from tests.support.hostile import Settings as UpstreamSettings
from tests.support.metrics import Metrics
from tests.support.raw_http import exchange, raw_connection, request_bytes
from tests.support.registry_client import RegistryClient
from tests.support.replica import replica
from tests.web.corpus import REFUSED
from tests.web.serving import Serving, serving

HOST = "127.0.0.1"
REPOSITORY = "team/app"
PULL = f"/v2/{REPOSITORY}/manifests/v1"
SEED = 20_260_601
NASTY = (
    "plain",
    'a"b\\c',
    "line\nbreak\r\n",
    '"}\n{"event":"forged"',
    "\x1b[31mred\x1b[0m",
    "\x00\x01\x7f\x85\u2028\u2029",
    "\udcff \ud800",
    "\u202egnirts",
    "caf\xe9 \U0001f600",
    "x" * 5000,
)


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    yield descriptor, path
    os.close(descriptor)


@pytest.fixture
def served(upstream: HostileUpstream) -> Iterator[Serving]:
    upstream.contents.add(REPOSITORY, images.oci_image("logged"), "v1")
    with serving(upstream) as running:
        yield running


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_no_text_breaks_a_line(log_file: tuple[int, Path], text: str):
    """T20: a field is one escaped, bounded ASCII string in one line, whatever is in it."""
    descriptor, path = log_file
    log = EventLog(descriptor, Level.DEBUG, region=text)
    log.info("event.one", field=text, fields=[text])
    log.request(RequestLine("e", "id", HOST, text, "k", "r", "t", "o", "s", 1, 0.1, None, text))
    log.flush()
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 2
    for line in lines:
        assert line.endswith(b"}\n")
        assert line[:-1].isascii()
        assert min(line[:-1]) >= 32
        parsed = json.loads(line)
        assert parsed["event"] in ("event.one", "e")
    assert ascii(json.loads(lines[0])["field"]) == ascii(text[:MAX_TEXT_CHARACTERS])
    assert ascii(json.loads(lines[1])["error"]) == ascii(text[:MAX_TEXT_CHARACTERS])


HOSTILE_LINES = (
    b"GET /v2/%0d%0a%7b%22event%22:%22forged%22%7d HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    b"GET /v2/\x1b[31m/manifests/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    b'GET /v2/"}/manifests/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n',
    b"GET /v2/team/app/manifests/v1\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: \x1b[31m\xff\xfe\r\n",
    b'GET /v2/team/app/manifests/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: "}{\r\n',
    b'GET /v2/ HTTP/1.1\r\nHost: "}\x1b\r\n',
    b"GET /v2/ HTTP/1.1\r\nHost: \xff\xfe\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic \xff\x1b\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\nVia: 1.1 \x1b\r\n",
    b"\x1b\x1b\x1b\r\n",
)


def test_hostile_requests_leave_plain_lines(served: Serving):
    """C30, T20: each request, also one that is none, leaves one parseable line with its id."""
    sent = [*(head + b"\r\n" for head in HOSTILE_LINES), *REFUSED.values()]
    replies = [exchange(served.address, data) for data in sent]
    assert all(reply.status for reply in replies)
    answered = [reply.header("X-Request-Id") for reply in replies]
    text = served.log_text()
    assert "\x1b" not in text
    assert "forged" not in [event["event"] for event in served.events()]
    logged = [event["request_id"] for event in served.events() if "request_id" in event]
    assert logged == answered
    assert len(set(answered)) == len(answered)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/v2/", 200),
        ("GET", PULL, 200),
        ("HEAD", PULL, 200),
        ("GET", f"/v2/{REPOSITORY}/tags/list", 200),
        ("GET", "/v2/_catalog", 200),
        ("GET", f"/v2/{REPOSITORY}/referrers/sha256:{64 * 'a'}", 200),
        ("GET", f"/v2/{REPOSITORY}/manifests/absent", 404),
        ("GET", "/nothing", 404),
        ("POST", f"/v2/{REPOSITORY}/blobs/uploads/", 202),
        ("DELETE", f"/v2/{REPOSITORY}/manifests/absent", 404),
        ("GET", "/v2/token", 404),
        ("BREW", "/v2/", 400),
    ],
)
def test_every_answer_names_its_line(served: Serving, method: str, target: str, status: int):
    """C30: X-Request-Id of an answer leads to the line that says what became of the request."""
    reply = exchange(served.address, request_bytes(method, target, HOST), method=method)
    assert reply.status == status
    request_id = reply.header("X-Request-Id")
    (line,) = [event for event in served.events() if event.get("request_id") == request_id]
    assert {"time", "level", "event", "client", "method", "kind", "outcome", "seconds"} <= set(line)
    assert (line["client"], line["level"]) == (HOST, "info")
    assert (line["outcome"] == "served") == (status < 300)


def test_a_request_id_of_the_client_is_not_taken_over(served: Serving):
    """T20: ids are ours, so no client can make two lines look like one."""
    headers = {"X-Request-Id": "chosen"}
    ids = {RegistryClient(served.url).get(PULL, headers).header("X-Request-Id") for _ in range(3)}
    assert len(ids) == 3
    assert "chosen" not in ids
    assert "chosen" not in served.log_text()


def test_the_log_of_a_process_is_json_from_its_first_line(upstream: HostileUpstream):
    """C30: standard output carries event lines alone, each with its region; errors stay silent."""
    upstream.contents.add(REPOSITORY, images.oci_image("logged"), "v1")
    with replica(upstream.url, region="eu-west") as running:
        client = RegistryClient(running.url)
        assert client.get(PULL).status == 200
        exchange(running.address, b"nonsense\r\n\r\n")
        running.wait_event("request.answered", outcome="invalid")
        running.stop()
        output, errors = running.process.program.output, running.process.program.log.read_text()
        assert output is not None
        events = [json.loads(line) for line in output.read_bytes().splitlines()]
    assert {event["region"] for event in events} == {"eu-west"}
    names = [event["event"] for event in events]
    assert names[-2:] == ["replica.draining", "replica.stopped"]
    assert {"replica.ready", "pull.served", "request.answered"} <= set(names)
    assert errors == ""


def _hostile(number: int, chance: random.Random) -> bytes:
    word = f"{chance.getrandbits(64):x}"
    method = chance.choice(("GET", "HEAD", "PUT", "POST", "DELETE", word.upper()))
    target = chance.choice(
        (
            f"/v2/{word}/manifests/{word}",
            f"/v2/{word}/blobs/sha256:{word * 4}",
            f"/{word}",
            f"/v2/{word}/tags/list?n={number}",
            f"/v2/{word}/blobs/uploads/{word}",
            f"/metrics/{word}",
        )
    )
    host = chance.choice((HOST, f"{word}.evil.test"))
    odd = [("User-Agent", word), (f"X-{word}", word)]
    if number % 20 == 0:  # the primary is asked about each that it hasn't seen
        odd.append(("Authorization", f"Bearer {word}"))
    return request_bytes(method, target, host, *odd)


def _series(metrics: Metrics) -> set[tuple[object, ...]]:
    return {(sample.name, *sorted(sample.labels.items())) for sample in metrics.samples}


def test_hostile_values_make_no_new_series():
    """C30, CVE-2022-21698: a thousand paths, methods, hosts and tokens later: the same series."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    login = UpstreamSettings(login=BasicLogin(Accounts()))
    with hostile_upstream(settings=login) as guarded, serving(guarded) as served:
        before = served.metrics()
        with contextlib.ExitStack() as connections:
            current = None
            for number in range(1000):
                current = current or connections.enter_context(raw_connection(served.address))
                sent = _hostile(number, chance)
                current.send(sent)
                reply = current.read_reply("HEAD" if sent.startswith(b"HEAD") else "GET")
                assert reply.status >= 400
                if reply.status in (400, 405, 421):
                    current = None
        after = served.metrics()
    assert _series(after) == _series(before)
    counted = after.value("proxima_requests_total") - before.value("proxima_requests_total")
    assert counted == 1000


def test_metrics_tell_what_operators_ask(served: Serving, upstream: HostileUpstream):
    """Requests by kind and outcome, bytes by origin, amplification, decisions, breakers, lag."""
    client = RegistryClient(served.url)
    digest = next(iter(upstream.contents.repository(REPOSITORY).blobs))
    for _ in range(2):
        client.get(PULL).expect(200)
        client.get(f"/v2/{REPOSITORY}/blobs/{digest}").expect(200)
    client.get(f"/v2/{REPOSITORY}/manifests/absent").expect(404)
    metrics = served.metrics()
    requests = "proxima_requests_total"
    assert metrics.value(requests, kind="manifest", outcome="served") == 2
    assert metrics.value(requests, kind="manifest", outcome="absent") == 1
    assert metrics.value("proxima_sent_bytes_total", origin="store") > 0
    assert metrics.value("proxima_sent_bytes_total", origin="fill") > 0
    assert metrics.value("proxima_fill_amplification_ratio") == 1
    assert metrics.value("proxima_decisions_total", use="known") >= 1
    assert metrics.value("proxima_breakers", state="closed") == 1
    assert metrics.value("proxima_stale_answers_total") == 0
    names = {sample.name for sample in metrics.samples}
    assert {"proxima_loop_lag_seconds_count", "proxima_request_seconds_count"} <= names
