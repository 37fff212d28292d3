"""Leases are given while the hub's own push comes back, and only then."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from hub.sentinel.contents import DIFFERENT, content
from proxy.net import breakers
from tests.hub.place import Place, pushed, running_hub
from tests.hub.test_registry import BEARER
from tests.support import registries
from tests.support.accounts import Accounts, Grant
from tests.support.fixtures import Opened, require
from tests.support.ports import claimed_port
from tests.support.recording_relay import Relay, recording_relay
from tests.support.registries import Htpasswd, Registry, Token, docker_registry
from tests.support.registry_client import RegistryClient
from tests.support.token_server import TokenServer
from tests.support.waiting import eventually

REPOSITORY = "proxima/sentinel"
FAST = {"sentinel__every": "200ms", "sentinel__limit": "30s", "lease__seconds": "7s"}
SHORT = {"sentinel__limit": "3s"}

HubOf = Callable[..., AbstractAsyncContextManager[Place]]


@pytest.fixture
def port(opened: Opened) -> int:
    """The hub's port."""
    require(registries.PROGRAM)
    return opened(claimed_port())


@pytest.fixture
def way(port: int, opened: Opened) -> Relay:
    """The way of the notifications, which can be cut."""
    return opened(recording_relay(f"127.0.0.1:{port}"))


@pytest.fixture
def notify(way: Relay) -> Mapping[str, Any]:
    """How a registry notifies the hub."""
    return {"notify": [f"{way.url}/notifications"], "notify_with": BEARER}


@pytest.fixture
def hub_of(tmp_path: Path, port: int) -> HubOf:
    """Run a hub of a registry."""

    def run(primary: Registry, **given: object) -> AbstractAsyncContextManager[Place]:
        own: dict[str, object] = {
            "primary__url": primary.url,
            "listen__api": [f"127.0.0.1:{port}"],
            "sentinel__repository": REPOSITORY,
        }
        return running_hub(tmp_path, None, **(FAST | own | given))

    return run


async def lease(place: Place, cursor: str | None = None) -> tuple[int, dict[str, Any]]:
    """Ask for a lease."""
    asked = {"cursor": cursor or f"{place.epoch}:{place.head}"}
    return await place.ask("POST", "/v1/lease", place.replica, asked)


async def wait_for_lease(place: Place) -> None:
    """Wait until one is given."""
    await eventually(lambda: not place.hub._proof.doubt(), 40, "a lease is given")


async def test_a_sentinel_that_comes_back_gives_leases(
    tmp_path: Path, hub_of: HubOf, notify: Mapping[str, Any], opened: Opened
) -> None:
    """A lease names epoch and head; the sentinel's own events are told to nobody."""
    async with hub_of(opened(docker_registry(tmp_path / "primary", **notify))) as place:
        assert (await lease(place))[1]["lease_seconds"] == 0
        await wait_for_lease(place)
        await place.post(pushed("v1"))
        expected = {"epoch": place.epoch, "head": 1, "lease_seconds": 7}
        assert await lease(place) == (200, expected)
        metrics = await place.metrics()
        assert metrics.value("proxima_hub_leases_given") == 1
        assert metrics.value("proxima_hub_notifications_total", arrival="sentinel") > 0


async def test_no_lease_while_notifications_do_not_arrive(
    tmp_path: Path, hub_of: HubOf, notify: Mapping[str, Any], way: Relay, opened: Opened
) -> None:
    """F14: the way from primary to hub breaks, leases end; it heals, and they are given again."""
    primary = opened(docker_registry(tmp_path / "primary", **notify))
    async with hub_of(primary, **SHORT) as place:
        await wait_for_lease(place)
        way.cut()
        await eventually(place.hub._proof.doubt, 15, "the lease ends")
        status, document = await lease(place)
        assert (status, document["lease_seconds"]) == (200, 0)
        assert "no notification" in document["reason"]
        way.restore()
        await wait_for_lease(place)


async def test_no_lease_while_the_primary_is_away(
    tmp_path: Path,
    hub_of: HubOf,
    notify: Mapping[str, Any],
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sentinel that can't be pushed proves nothing; leases say so, and come back with it."""
    monkeypatch.setattr(breakers, "PROBE_EVERY_SECONDS", 0.5)
    primary = opened(docker_registry(tmp_path / "primary", **notify))
    async with hub_of(primary, **SHORT) as place:
        await wait_for_lease(place)
        primary.stop()
        primary.wipe()
        await eventually(place.hub._proof.doubt, 15, "the lease ends")
        assert "can't be pushed" in (await lease(place))[1]["reason"]
        assert place.events("sentinel.not_pushed")
        primary.start()
        await wait_for_lease(place)


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
async def test_the_sentinel_logs_in(
    tmp_path: Path,
    hub_of: HubOf,
    notify: Mapping[str, Any],
    accounts: Accounts,
    tokens: TokenServer,
    opened: Opened,
    scheme: str,
) -> None:
    """It pushes with its own credential, which needs no right but to that repository."""
    pusher = accounts.add("hub", "the hub's password", Grant(REPOSITORY))
    access = Token(tokens) if scheme == "bearer" else Htpasswd((pusher,))
    given = {
        "sentinel__username": pusher.username,
        "sentinel__password_file": str(_written(tmp_path / "password", pusher.password)),
        "primary__trusted_origins": [f"http://{tokens.address}"] if scheme == "bearer" else [],
    }
    primary = opened(docker_registry(tmp_path / "primary", access, **notify))
    async with hub_of(primary, **given) as place:
        await wait_for_lease(place)


async def test_the_password_goes_nowhere_else(
    tmp_path: Path,
    hub_of: HubOf,
    notify: Mapping[str, Any],
    accounts: Accounts,
    tokens: TokenServer,
    opened: Opened,
) -> None:
    """C13: a realm that the settings don't name gets no request, and no lease is given."""
    password = str(_written(tmp_path / "password", "admin's secret"))
    given = {"sentinel__username": "admin", "sentinel__password_file": password}
    primary = opened(docker_registry(tmp_path / "primary", Token(tokens), **notify))
    async with hub_of(primary, **given) as place:
        await eventually(lambda: place.events("sentinel.not_pushed"))
        assert "primary.trusted_origins" in (await lease(place))[1]["reason"]
    assert tokens.requests == []


def _written(path: Path, text: str) -> Path:
    path.write_text(f"{text}\n")
    return path


@pytest.mark.parametrize(
    ("is_trusted", "seconds", "reason"), [(False, 0, "sentinel.repository"), (True, 30.0, "")]
)
async def test_without_a_sentinel_an_operator_decides(
    tmp_path: Path, is_trusted: bool, seconds: float, reason: str
) -> None:
    """No sentinel, no lease, unless the settings say that notifications are trusted."""
    async with running_hub(tmp_path, sentinel__trust_notifications=is_trusted) as place:
        _, document = await lease(place)
        assert document["lease_seconds"] == seconds
        assert reason in document.get("reason", "")


@pytest.mark.parametrize(
    ("cursor", "status"),
    [("{epoch}:1", 410), ("0123456789abcdef:0", 410), ("{epoch}", 400), ("{epoch}:0", 200)],
)
async def test_a_lease_is_for_a_cursor_of_this_log(
    tmp_path: Path, cursor: str, status: int
) -> None:
    """Who is of another epoch, or ahead of the log, gets no lease but 410."""
    async with running_hub(tmp_path, sentinel__trust_notifications=True) as place:
        found, document = await lease(place, cursor.format(epoch=place.epoch))
        assert found == status
        assert ("lease_seconds" in document) == (status == 200)


async def test_what_is_at_the_primary_stays_small(
    tmp_path: Path, hub_of: HubOf, notify: Mapping[str, Any], opened: Opened
) -> None:
    """One tag in one repository, of an image that runtimes could pull."""
    primary = opened(docker_registry(tmp_path / "primary", **notify))
    async with hub_of(primary) as place:
        await wait_for_lease(place)
    client = RegistryClient(primary.url)
    assert client.get("/v2/_catalog").json()["repositories"] == [REPOSITORY]
    assert client.get(f"/v2/{REPOSITORY}/tags/list").json()["tags"] == ["current"]


def test_contents_come_round() -> None:
    """Pushes in a row differ, and there are no more of them than is said."""
    digests = [content(number).digest for number in range(2 * DIFFERENT)]
    assert len(set(digests)) == DIFFERENT
    assert digests[:DIFFERENT] == digests[DIFFERENT:]
