"""A hub's life: settings that change, secrets in rotation, its end, its connections."""

import asyncio
import json
import signal
import socket
import time
from pathlib import Path

import pytest

from config import ConfigError, settings_of
from config.hub import HubSettings
from hub.app import Hub
from hub.reload import TOLD_TO_REPLICAS
from proxy.serving import life, standing
from tests.hub.api import api_settings, serving_hub
from tests.hub.place import SECRETS, pushed, running_hub
from tests.hub.process import HubProcess, hub_process
from tests.support.ports import LOOPBACK
from tests.support.raw_http import exchange, raw_connection, request_bytes
from tests.support.waiting import eventually, wait_until

OTHER = "94b1b1a1d9c04c0aa4a1bd65ef3a6bf1"
VALUES: dict[str, object] = {
    "listen.drain_limit": "7s",
    "events.keep": "2h",
    "events.max_events": 5_000,
    "events.dedupe_within": "2h",
    "receiving.secret_file": None,
    "receiving.next_secret_file": None,
    "subscription.max_streams": 7,
    "subscription.reconnect_within": "7s",
    "lease.seconds": "7s",
    "admin.token_file": None,
    "admin.next_token_file": None,
    "geo.token_file": None,
    "geo.next_token_file": None,
    "replicas.unreachable_after": "7s",
    "replicas.drain_limit": "7s",
    "replicas.keep_deleted": "7s",
    "replication.repositories": ["shop/**"],
    "replication.tags": ["v*"],
    "replication.platforms": ["linux/arm64"],
    "replication.bandwidth": "7MB",
    "replication.concurrent": 7,
    "replication.backfill": "none",
    "replication.newest": 7,
    "replication.verify_every": "7s",
    "history.keep": "2h",
    "history.max_entries": 5_000,
    "history.max_waiting": 7,
    "log.level": "warning",
}
"""Other values than the defaults; the files are tried with processes, below."""

CATALOGUE = """\
default = "ap-singapore"
[regions.ap-singapore]
addresses = ["192.0.2.1"]
"""


def held(hub: Hub) -> dict[str, object]:
    """Give what the parts of a hub go by, by key of its settings."""
    log, history = hub._log.limits, hub._regional._history.limits
    plan, settings = hub._regional.instances.plan, hub._reloader.settings
    wanted = plan.replication
    return {
        "listen.drain_limit": settings.listen.drain_limit,
        "events.keep": log.keep_seconds,
        "events.max_events": log.max_events,
        "events.dedupe_within": log.dedupe_seconds,
        "subscription.max_streams": hub._subscriptions.max_streams,
        "subscription.reconnect_within": settings.subscription.reconnect_within,
        "lease.seconds": hub._reloader._parts.leases.seconds,
        "replicas.unreachable_after": plan.patience.unreachable_seconds,
        "replicas.drain_limit": plan.patience.drain_seconds,
        "replicas.keep_deleted": plan.keep_deleted_seconds,
        "replication.repositories": wanted.repositories,
        "replication.tags": wanted.tags,
        "replication.platforms": wanted.platforms,
        "replication.bandwidth": wanted.bandwidth_bytes,
        "replication.concurrent": wanted.concurrent,
        "replication.backfill": wanted.backfill.policy.value,
        "replication.newest": wanted.backfill.newest,
        "replication.verify_every": plan.verify_every_seconds,
        "history.keep": history.keep_seconds,
        "history.max_entries": history.max_entries,
        "history.max_waiting": hub._regional._waiting.max_waiting,
        "log.level": hub._telemetry.log.level.name.lower(),
    }


def test_every_setting_that_is_reloaded_is_tried() -> None:
    """None is declared to change at SIGHUP without a case here."""
    declared = {each.key for each in settings_of(HubSettings) if each.rule.is_reloaded}
    assert declared == set(VALUES)


@pytest.mark.parametrize("key", [key for key, value in VALUES.items() if value is not None])
async def test_a_change_reaches_what_goes_by_it(tmp_path: Path, key: str) -> None:
    """What a reload brings is what the part goes by from then on, and nothing else changes."""
    async with serving_hub(tmp_path) as (hub, api):
        await api.create()
        token = api.tokens["ap-singapore"]
        before, told = held(hub), (await api.ask("GET", "/v1/self", token=token)).document
        made = await hub.reload(api_settings(tmp_path, **{key: VALUES[key]}))
        after = held(hub)
        assert (made.changed, made.needs_restart) == ((key,), ())
        assert {name for name in after if after[name] != before[name]} == {key}
        now = (await api.ask("GET", "/v1/self", token=token)).document
        assert (now != told) is (key.startswith(TOLD_TO_REPLICAS))


async def test_what_waits_for_a_restart_is_named(tmp_path: Path) -> None:
    """A setting that can't change now is said to wait; a weak secret changes nothing at all."""
    async with running_hub(tmp_path) as place:
        given = {"subscription__heartbeat": "1s", "lease__seconds": "7s"}
        made = await place.hub.reload(api_settings(tmp_path, primary__url="http://127.0.0.1:9"))
        assert set(made.needs_restart) == {"primary.id", "primary.region"}
        weak = tmp_path / "weak"
        weak.write_text("changeme")
        bad = api_settings(tmp_path, **given, admin__next_token_file=str(weak))
        with pytest.raises(ConfigError, match=r"admin\.next_token"):
            await place.hub.reload(bad)
        assert held(place.hub)["lease.seconds"] == 30


async def test_a_reload_reads_the_regions_and_who_may_read_them(tmp_path: Path) -> None:
    """The catalogue and the tokens of DNS servers are read again at once, the operators' too."""
    catalogue, tokens = tmp_path / "regions.toml", (tmp_path / "old", tmp_path / "new")
    catalogue.write_text(CATALOGUE)
    for path, secret in zip(tokens, (OTHER, OTHER[::-1]), strict=True):
        path.write_text(secret)
    given = {"geo__catalogue": str(catalogue), "geo__reread": "1h"}
    async with serving_hub(tmp_path, **given, geo__token_file=str(tokens[0])) as (hub, api):
        assert (await api.ask("GET", "/v1/geo", token=OTHER)).status == 200
        catalogue.write_text(CATALOGUE.replace("192.0.2.1", "192.0.2.99"))
        await hub.reload(api_settings(tmp_path, **given, geo__token_file=str(tokens[1])))
        assert (await api.ask("GET", "/v1/geo", token=OTHER)).status == 401
        told = (await api.ask("GET", "/v1/geo", token=OTHER[::-1])).document
        assert told["catalogue"]["regions"]["ap-singapore"]["addresses"] == ["192.0.2.99"]


# --- as a process ---------------------------------------------------------------------------------


def statuses(hub: HubProcess, secret: str, token: str) -> tuple[int, int]:
    """Give how a sender and an operator are answered."""
    shown = ("X-Proxima-Secret", secret), ("Content-Length", "0")
    letter = exchange(hub.api, request_bytes("POST", "/notifications", LOOPBACK, *shown))
    bearer = ("Authorization", f"Bearer {token}")
    listed = exchange(hub.api, request_bytes("GET", "/v1/replicas", LOOPBACK, bearer))
    return letter.status, listed.status


def test_secrets_are_rotated_without_a_restart(tmp_path: Path) -> None:
    """SIGHUP reads the files of secrets and tokens again, and takes in second ones: both count,
    then the new one alone. What is weak is refused in a line, and the old ones stay.
    """
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(SECRETS["PROXIMA_HUB_RECEIVING__SECRET"])
    new.write_text(OTHER)
    first = old.read_text()
    files = {"receiving": {"secret_file": str(old)}, "admin": {"token_file": str(old)}}
    with hub_process(tmp_path, **files) as hub:
        hub.start(environment={})
        assert statuses(hub, first, first) == (202, 200)
        assert statuses(hub, OTHER, OTHER) == (401, 401)
        hub.settings["receiving"]["next_secret_file"] = str(new)
        hub.settings["admin"]["next_token_file"] = str(new)
        hub.hang_up()
        wait_until(lambda: hub.events("settings.reloaded"), 10)
        (line,) = hub.events("settings.reloaded")
        assert line["changed"] == ["receiving.next_secret_file", "admin.next_token_file"]
        assert statuses(hub, first, first) == statuses(hub, OTHER, OTHER) == (202, 200)
        old.write_text("changeme")
        hub.hang_up()
        wait_until(lambda: hub.events("settings.not_reloaded"), 10)
        assert len(hub.events("settings.not_reloaded")[0]["problems"]) == 2
        assert statuses(hub, first, first) == (202, 200)
        old.write_text(OTHER)
        hub.hang_up()
        wait_until(lambda: len(hub.events("settings.reloaded")) == 2, 10)
        assert statuses(hub, first, first) == (401, 401)
        assert statuses(hub, OTHER, OTHER) == (202, 200)


@pytest.mark.parametrize("is_hurried", [False, True], ids=["drains", "hurried"])
def test_a_second_signal_ends_a_drain(tmp_path: Path, is_hurried: bool) -> None:
    """C25: a request under way has the drain limit; a second SIGTERM leaves it some seconds. Either
    way the hub ends by itself, and in good order.
    """
    listen = {"drain_limit": "60s" if is_hurried else "500ms"}
    with hub_process(tmp_path) as hub:
        hub.settings["listen"] |= listen
        hub.start()
        late = request_bytes(
            "POST",
            "/notifications",
            LOOPBACK,
            ("X-Proxima-Secret", SECRETS["PROXIMA_HUB_RECEIVING__SECRET"]),
            ("Content-Length", "100"),
        )
        with raw_connection(hub.api) as sender:
            sender.send(late)
            hub.post(pushed("v1")).expect(202)
            began = time.monotonic()
            hub.process.send(signal.SIGTERM)
            wait_until(lambda: hub.events("hub.draining"), 10)
            if is_hurried:
                assert hub.process.is_running
                hub.process.send(signal.SIGTERM)
            assert hub.process.wait(30) == 0
            seconds = time.monotonic() - began
        most = life.SECOND_SIGNAL_SECONDS if is_hurried else 0.5
        assert most - 0.1 <= seconds < most + 10
        assert hub.events("hub.stopped")


def test_the_service_manager_follows_a_life(tmp_path: Path) -> None:
    """Ready when requests may come, reloading and ready again, stopping: each when it is so."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = tmp_path / "notify"
        manager.bind(str(path))
        manager.settimeout(20)
        with hub_process(tmp_path) as hub:
            hub.start(environment={**SECRETS, "NOTIFY_SOCKET": str(path)})
            heard = [manager.recv(4096)]
            hub.hang_up()
            heard += [manager.recv(4096) for _ in range(2)]
            hub.process.send(signal.SIGTERM)
            heard.append(manager.recv(4096))
            assert hub.process.wait() == 0
    states = [each.partition(b"\n")[0].decode() for each in heard]
    assert states == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


# --- connections ----------------------------------------------------------------------------------


def is_ended(connection: socket.socket) -> bool:
    """Say whether the hub has ended a connection, without waiting."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize("sent", [b"", b"POST /notifications HTTP/1.1\r\nHost: a\r\n"])
async def test_headers_that_dont_come_end_a_connection(tmp_path: Path, sent: bytes) -> None:
    """Who sends nothing, or a part of a header, is let go in time; a stream isn't, nor a body."""
    async with running_hub(tmp_path, listen__header_timeout="1s") as place:
        began = time.monotonic()
        with socket.create_connection(place.hub.api_addresses[0]) as slow:
            slow.sendall(sent)
            await eventually(lambda: is_ended(slow), 5)
        assert time.monotonic() - began >= 0.9
        assert (await place.post(pushed("v1")))[0] == 202


async def test_who_leaves_in_the_middle_of_a_report_is_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A replica that goes while it sends is logged as one that left, without a traceback."""
    async with serving_hub(tmp_path) as (hub, api):
        await api.create()
        bearer = f"Authorization: Bearer {api.tokens['ap-singapore']}\r\n"
        head = f"POST /v1/reports HTTP/1.1\r\nHost: hub\r\n{bearer}Content-Length: 99\r\n\r\n"
        _, writer = await asyncio.open_connection(*hub.api_addresses[0])
        writer.write(f'{head}{{"st'.encode())
        await writer.drain()
        server = hub._listener._runner.server
        await eventually(lambda: any(each._request_in_progress for each in server.connections))
        writer.transport.abort()

        def left() -> list[str]:
            hub._telemetry.log.flush()
            lines = (tmp_path / "hub.jsonl").read_text().splitlines()
            return [line for line in lines if "/v1/reports" in line]

        line = json.loads((await eventually(left, 10))[0])
        assert line["status"] == "left"
        assert caplog.records == []


async def test_connections_are_bounded(tmp_path: Path) -> None:
    """More connections than allowed are closed at once; room that becomes free is given again."""
    async with running_hub(tmp_path, listen__max_connections=64) as place:
        address = place.hub.api_addresses[0]
        idle = [socket.create_connection(address) for _ in range(64)]
        try:
            server = place.hub._listener._runner.server
            await eventually(lambda: len(server.connections) == 64)
            with socket.create_connection(address) as more:
                await eventually(lambda: is_ended(more))
            assert not any(is_ended(each) for each in idle)
        finally:
            for each in idle:
                each.close()
        await eventually(lambda: len(server.connections) < 64)
        assert (await place.post(pushed("v1")))[0] == 202


async def test_a_work_that_crashes_again_and_again_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One crash changes nothing for operators; several in a row do, until it runs for a while."""
    monkeypatch.setattr(standing, "AGAIN_SECONDS", 0.0)
    crashes_left = [1]

    async def faulty(_: Hub) -> None:
        await eventually(lambda: crashes_left[0], 60)
        crashes_left[0] -= 1
        raise KeyError("nobody thought of it")

    monkeypatch.setattr(Hub, "_trim", faulty)
    async with running_hub(tmp_path) as place:
        await eventually(lambda: len(place.events("work.crashed")) == 1)
        assert place.hub._not_ready() == ""
        crashes_left[0] = standing.REPEATED_CRASHES
        await eventually(lambda: len(place.events("work.crashed")) == 4)
        host, port = place.hub.ops_address
        async with place.http.get(f"http://{host}:{port}/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["status"] == "crashes repeatedly: trim"
        later = place.hub._crashes._now() + standing.STEADY_SECONDS + 1
        monkeypatch.setattr(place.hub._crashes, "_now", lambda: later)
        assert place.hub._not_ready() == ""
