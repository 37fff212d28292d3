"""The verbs of operators against a hub that is a process of its own."""

import json
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.hub.api import entry
from tests.hub.place import ADMIN_TOKEN, SECRETS, pushed
from tests.hub.process import HubProcess, hub_process
from tests.support.command_line import proxima
from tests.support.registry_client import RegistryClient, Reply
from tests.support.waiting import wait_until

ID = "registry-fra-9"
DIGEST = "sha256:" + "a" * 64
PRIMARY = {
    "id": "registry-fra",
    "region": "eu-frankfurt",
    "url": "https://registry.example.com",
}
__all__ = ["proxima"]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[HubProcess]:
    with hub_process(tmp_path, primary=PRIMARY) as made:
        made.start()
        yield made


@pytest.fixture
def hub(process, proxima, tmp_path, monkeypatch):
    """What the verbs need to know, in the environment."""
    token = tmp_path / "operator-token"
    token.write_text(f"{ADMIN_TOKEN}\n")
    monkeypatch.setenv("PROXIMA_HUB_URL", f"http://{process.api}")
    monkeypatch.setenv("PROXIMA_HUB_TOKEN_FILE", str(token))
    return process


def asked(process: HubProcess, method: str, path: str, token: str, body: object = None) -> Reply:
    """Ask the API as the bearer of a token."""
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return RegistryClient(f"http://{process.api}").request(method, path, headers, data)


def report(process: HubProcess, token: str, *entries: object, state: str = "running") -> None:
    document = {"status": {"state": state}, "entries": entries}
    asked(process, "POST", "/v1/reports", token, document).expect(200)


def test_the_life_of_a_replica(hub, proxima, tmp_path):
    """Made, listed, it reads what it is told with its token; deleted, the token is of no use."""
    file = tmp_path / "join-token"
    created = proxima("replicas", "create", "--region", "ap-singapore", "--write-token", file)
    assert created.status == 0, created.errors
    token = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in created.output
    assert ID in created.output
    told = asked(hub, "GET", "/v1/self", token).expect(200)
    assert json.loads(told.body)["primary"]["url"] == PRIMARY["url"]
    report(hub, token)
    listed = proxima("replicas", "list")
    assert [line.split()[:3] for line in listed.output.splitlines()] == [
        ["ID", "REGION", "STATE"],
        [ID, "ap-singapore", "Running"],
    ]
    shown = proxima("replicas", "show", ID, "--json")
    assert json.loads(shown.output)["state"] == "Running"
    assert "Running" in proxima("replicas", "show", ID).output

    again = proxima("replicas", "create", "--region", "ap-singapore")
    assert (again.status, again.errors.count("\n")) == (1, 1)
    assert f"REPLICA_EXISTS: ap-singapore has a replica already: {ID}" in again.errors
    unsure = proxima("replicas", "delete", ID)
    assert unsure.status == 2
    deleted = proxima("replicas", "delete", ID, "--yes")
    assert (deleted.status, deleted.output.split()) == (0, [ID, "Draining"])
    assert asked(hub, "GET", "/v1/self", token).status == 403
    report(hub, token, state="drained")
    assert asked(hub, "POST", "/v1/reports", token, {"status": {"state": "running"}}).status == 403
    assert "Deleted" in proxima("replicas", "list").output
    renewed = json.loads(proxima("replicas", "create", "--region", "ap-singapore", "--json").output)
    assert renewed["id"] == ID
    assert asked(hub, "GET", "/v1/self", token).status == 401
    assert asked(hub, "GET", "/v1/self", renewed["token"]).status == 200


def test_what_a_replica_shall_copy(hub, proxima):
    """Flags of its creation say what a replica copies, and the hub's settings say the rest."""
    table = {
        "ap-singapore": ((), {"repositories": ["**"], "platforms": [], "tags": ["**"]}),
        "ap-tokyo": (
            ("--repository", "a/**", "--repository", "b"),
            {"repositories": ["a/**", "b"], "backfill": {"policy": "all", "newest": 10}},
        ),
        "ap-seoul": (("--platform", "linux/arm64"), {"platforms": ["linux/arm64"]}),
        "ap-jakarta": (("--backfill", "none"), {"backfill": {"policy": "none", "newest": 10}}),
        "ap-mumbai": (("--backfill", "3"), {"backfill": {"policy": "newest", "newest": 3}}),
    }
    for region, (flags, said) in table.items():
        created = proxima("replicas", "create", "--region", region, *flags, "--json")
        replica_id = json.loads(created.output)["id"]
        shown = json.loads(proxima("replicas", "show", replica_id, "--json").output)
        assert said.items() <= shown["replication"].items()
    assert proxima("replicas", "create", "--region", "x", "--backfill", "some").status == 2


@pytest.fixture
def join_token(hub, proxima) -> str:
    created = proxima("replicas", "create", "--region", "ap-singapore", "--json")
    return str(json.loads(created.output)["token"])


def test_logs(hub, proxima, join_token):
    """The log is printed oldest first, a line each, or as JSON; filters go along."""
    report(hub, join_token, entry(id="a", event_at=100.0, ended_at=104.2, bytes_moved=2048))
    report(hub, join_token, entry(id="b", state="failed", error="no\nroom", tag=None))
    lines = proxima("logs").output.splitlines()
    assert [line.split()[:6] for line in lines] == [
        ["1970-01-01T00:01:44Z", "ap-singapore", "complete", "image", "event", "4.2s"],
        ["-", "ap-singapore", "failed", "image", "event", "-"],
    ]
    assert "shop/api:1.0" in lines[0]
    assert lines[0].endswith("2.0 KiB")
    assert lines[1].endswith(r"no\nroom")
    found = proxima("logs", "--state", "failed", "--since", "1h", "--json")
    assert [each["id"] for each in found.events] == ["b"]
    assert proxima("logs", "--since", "soon").status == 2
    assert proxima("logs", "--until", "2020-01-01").output == ""
    wrong = proxima("logs", "--digest", "sha256:1")
    assert (wrong.status, wrong.errors.count("\n")) == (1, 1)


def test_following_the_log(hub, proxima, join_token, monkeypatch):
    """--follow goes on with what changes until it is stopped."""
    report(hub, join_token, entry(id="a", state="running"))
    pauses = []

    def pause(_seconds: float) -> None:
        pauses.append(1)
        if len(pauses) == 1:
            report(hub, join_token, entry(id="a"), entry(id="b"))
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr("proxy.cli.logs.time", SimpleNamespace(sleep=pause))
    followed = proxima("logs", "--follow", "--json")
    assert followed.status == 130
    said = [(each["id"], each["state"]) for each in followed.events]
    assert said == [("a", "running"), ("a", "complete"), ("b", "complete")]


def waits(process: HubProcess) -> int:
    """Give how many requests to wait were answered by the hub as it runs now."""
    return sum(each["path"] == "/v1/wait" for each in process.events("hub.request"))


def test_waiting(hub, proxima, join_token, monkeypatch):
    """0 once the image is complete, 1 when the time is over, 2 for what can't be asked."""
    reference = f"registry.example.com/shop/api@{DIGEST}"
    late = proxima("wait", reference, "--all", "--timeout", "200ms")
    assert (late.status, late.errors.count("\n")) == (1, 1)
    assert "NOT_COMPLETE" in late.errors
    assert "ap-singapore" in late.errors
    monkeypatch.setattr("proxy.cli.wait.ONE_REQUEST_SECONDS", 0.5)

    def arrive() -> None:
        wait_until(lambda: waits(hub) > 1)
        report(hub, join_token, entry())

    reporter = threading.Thread(target=arrive)
    reporter.start()
    arrived = proxima("wait", reference, "--region", "ap-singapore", "--timeout", "20s")
    reporter.join(20)
    assert (arrived.status, arrived.errors) == (0, "")
    assert arrived.output == f"shop/api@{DIGEST} is complete in ap-singapore\n"
    for arguments in (
        (reference, "--region", "ap-tokyo"),
        ("shop/web:9", "--all"),
        ("Shop", "--all"),
        (reference,),
        (reference, "--all", "--timeout", "soon"),
    ):
        assert proxima("wait", *arguments).status == 2, arguments


def test_a_hub_that_restarts_is_waited_for(hub, proxima, join_token, monkeypatch):
    """Whoever waits goes on waiting over a restart of the hub."""
    monkeypatch.setattr("proxy.cli.wait.ONE_REQUEST_SECONDS", 0.5)
    unanswered, outcome = [], []

    def pause(seconds: float) -> None:
        unanswered.append(seconds)
        time.sleep(0.01)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=pause)
    monkeypatch.setattr("proxy.cli.wait.time", clock)

    def restart() -> None:
        wait_until(lambda: waits(hub) > 0)
        hub.process.kill()
        wait_until(lambda: unanswered)
        hub.start()
        report(hub, join_token, entry())
        outcome.append("restarted")

    restarter = threading.Thread(target=restart)
    restarter.start()
    arrived = proxima("wait", f"shop/api@{DIGEST}", "--all", "--timeout", "60s", "--json")
    restarter.join(30)
    assert outcome == ["restarted"]
    assert arrived.status == 0, arrived.errors
    assert json.loads(arrived.output)["digest"] == DIGEST


def test_replay(hub, proxima):
    """Events are put at the end of the log once more, and how many is said."""
    for number in range(3):
        hub.post(pushed("1.0", number=number)).expect(202)
    hub.post(pushed("1.0", "shop/web")).expect(202)
    assert proxima("replay", "--after", "1", "--repository", "shop/api").output == "2 events\n"
    replayed = json.loads(proxima("replay", "--after", "0", "--json").output)
    assert replayed == {"replayed": 6, "next": None, "upto": 6}
    assert proxima("replay").status == 2


def test_a_replay_for_one_region(hub, proxima):
    """`--region` alone takes all events; a region without a replica is refused in one line."""
    proxima("replicas", "create", "--region", "ap-singapore")
    hub.post(pushed("1.0")).expect(202)
    assert proxima("replay", "--region", "ap-singapore").output == "1 events\n"
    refused = proxima("replay", "--region", "ap-tokyo")
    assert (refused.status, refused.output) == (1, "")
    assert "ap-tokyo has no replica" in refused.errors


def test_a_long_replay_goes_on_until_it_is_whole(hub, proxima):
    """More events than one request replays are replayed all the same, each once, with a line for
    each portion that says how to go on from there.
    """
    for start in range(0, 10_200, 200):
        tags = range(start, start + 200)
        hub.post([pushed(f"v{number}") for number in tags]).expect(202)
    replayed = proxima("replay", "--after", "0")
    assert (replayed.status, replayed.output) == (0, "10200 events\n")
    assert replayed.errors.splitlines() == [
        "proxima: 10000 events so far; the next: --after 10000 --upto 10200"
    ]
    rest = proxima("replay", "--after", "10000", "--upto", "10200", "--json")
    assert json.loads(rest.output)["replayed"] == 200


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--hub", "http://127.0.0.1:1"), "can't be reached"),
        (("--hub", "http://hub.internal:8443"), "expected https"),
        (("--hub", "ftp://127.0.0.1"), "expected a URL"),
        (("--hub", "127.0.0.1:8443"), "expected a URL"),
        (("--hub", ""), "PROXIMA_HUB_URL"),
        (("--hub", "http://127.0.0.1:1", "--token-file", "nowhere"), "nowhere"),
        (("--hub", "https://127.0.0.1:1", "--ca-file", "nowhere"), "No such file"),
    ],
)
def test_a_hub_that_cant_be_asked(proxima, tmp_path, flags, words):
    """What keeps a verb from its hub is one clear line, and status 2."""
    token = tmp_path / "token"
    token.write_text(ADMIN_TOKEN)
    if "--token-file" not in flags:
        flags = (*flags, "--token-file", str(token))
    outcome = proxima("replicas", "list", *flags)
    assert outcome.status == 2
    assert outcome.errors.count("\n") == 1
    assert words in outcome.errors
    assert ADMIN_TOKEN not in outcome.errors


def test_a_hub_started_beside_the_verbs_takes_none_of_their_variables_for_settings(
    tmp_path, proxima
):
    """The variables of operators' verbs are no settings of the hub."""
    token = tmp_path / "token"
    token.write_text(ADMIN_TOKEN)
    with hub_process(tmp_path, primary=PRIMARY) as made:
        process = made.launch({**SECRETS, "PROXIMA_HUB_URL": "https://hub.internal:8443"})
        wait_until(lambda: made.events("hub.ready") or not process.is_running, 30.0)
        assert process.is_running, made.said()
