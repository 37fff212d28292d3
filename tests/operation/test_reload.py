"""What a reload does to a running replica, setting by setting."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from config import Change, ConfigError, Settings, TagPolicy, settings_of
from config.choices import Backfill, Freshness, LogLevel, ReplicationSource
from proxy.telemetry.labels import CopyEnd, RoundEnd
from tests.conftest import Opened
from tests.fills.calls import blob_path, manifest_path
from tests.fills.in_process import AdvancedClock, InProcess, in_process
from tests.replication.copying import Told as Replicating
from tests.support.accounts import Accounts, Credentials, Grant
from tests.support.hostile import (
    BLOBS,
    BasicLogin,
    HostileUpstream,
    Redirect,
    Stall,
    Status,
    TokenLogin,
    hostile_upstream,
)
from tests.support.hostile import Settings as UpstreamSettings
from tests.support.images import Manifest, multi_platform, oci_image
from tests.support.layers import random_blob, random_layer
from tests.support.raw_http import raw_connection, request_bytes
from tests.support.store_tree import visible_blobs
from tests.support.token_server import token_server
from tests.support.told import Told
from tests.support.waiting import wait_until

REPOSITORY = "team/app"
TAG = manifest_path(REPOSITORY, "v1")
LATER_SECONDS = 100  # past a ttl of 60 s, within its grace
OPERATOR = "admin"
LASTING = {"ttl": 36_000.0}


@dataclass(slots=True)
class World:
    """A primary and, once it runs, a replica of it."""

    upstream: HostileUpstream
    folder: Path
    opened: Callable[[Any], Any]
    accounts: Accounts
    _running: list[InProcess] = field(default_factory=list)

    def run(self, **sections: Mapping[str, Any]) -> InProcess:
        self._running.append(self.opened(in_process(self.upstream.url, **sections)))
        return self.replica

    def run_leased(self, **tags: float) -> None:
        """Run a replica whose tags events keep current."""
        clock = AdvancedClock()
        parts = {"clock": clock, "assurance": Told(clock), "tags": tags, "access": LASTING}
        self._running.append(self.opened(in_process(self.upstream.url, **parts)))

    @property
    def replica(self) -> InProcess:
        return self._running[-1]

    @property
    def settings(self) -> Settings:
        return self.replica.replica._reloader.settings

    def reload(self, key: str, value: object) -> Change:
        """Let the replica read settings in which one has another value."""
        section, name = key.split(".")
        fresh = replace(
            self.settings, **{section: replace(getattr(self.settings, section), **{name: value})}
        )
        return self.replica.thread.run(self.replica.replica.reload(fresh))

    def pull(self, path: str = TAG, credentials: Credentials | None = None) -> int:
        """Give the status that a new client gets."""
        client = replace(self.replica.client, credentials=credentials)
        return client.get(path).status

    def asks(self, credentials: Credentials | None = None) -> bool:
        """Pull the tag; say whether the primary was asked about it."""
        self.upstream.forget()
        assert self.pull(TAG, credentials) == 200
        return self.seen_asking

    @property
    def seen_asking(self) -> bool:
        return any(each.path == TAG for each in self.upstream.seen)

    def later(self) -> None:
        self.replica.clock.advance(LATER_SECONDS)

    def lock(self) -> Credentials:
        """Let the primary ask for logins; give one."""
        self.upstream.settings = UpstreamSettings(login=BasicLogin(self.accounts))
        return self.accounts.credentials_of(OPERATOR)

    def stop_answering(self) -> None:
        self.upstream.inject(Status(503), times=None)


@pytest.fixture
def world(upstream: HostileUpstream, tmp_path: Path, opened: Opened) -> World:
    upstream.contents.add(REPOSITORY, oci_image("reloaded"), "v1")
    accounts = Accounts()
    accounts.add(OPERATOR, "secret", Grant("*"))
    return World(upstream, tmp_path, opened, accounts)


# --- what each setting that may change does -------------------------------------------------------


def _tags_ttl(world: World) -> None:
    world.run(access=LASTING)
    assert world.asks()
    world.later()
    assert world.asks()
    world.later()
    world.reload("tags.ttl", 3600.0)
    assert not world.asks()


def _tags_stale_limit(world: World) -> None:
    world.run()
    assert world.pull() == 200
    world.later()
    world.stop_answering()
    assert world.pull() == 200
    world.reload("tags.stale_limit", 10.0)
    assert world.pull() == 503


def _tags_verify_every(world: World) -> None:
    world.run_leased()
    assert world.asks()
    world.later()
    world.reload("tags.verify_every", 3600.0)
    assert not world.asks()
    world.reload("tags.verify_every", 1.0)
    assert world.pull() == 200
    wait_until(lambda: world.seen_asking, 5.0, "asked behind an answer")


def _tags_idle_verify(world: World) -> None:
    world.run_leased(verify_every=3600.0)
    assert world.asks()
    world.later()
    assert not world.asks()
    world.reload("tags.idle_verify", 1.0)
    assert world.asks()


def _tags_policies(world: World) -> None:
    world.run(access=LASTING)
    assert [world.asks(), world.asks()] == [True, False]
    world.reload("tags.policies", (TagPolicy(repositories="**", freshness=Freshness.ALWAYS),))
    assert [world.asks(), world.asks()] == [True, True]


def _access_ttl(world: World) -> None:
    admin = world.lock()
    world.run(tags=LASTING)
    assert world.asks(admin)
    world.later()
    assert world.asks(admin), "a right older than its ttl is asked for again"
    world.later()
    world.reload("access.ttl", 3600.0)
    assert not world.asks(admin)


def _access_outage_grace(world: World) -> None:
    admin = world.lock()
    world.run(tags=LASTING)
    assert world.pull(TAG, admin) == 200
    world.later()
    world.stop_answering()
    assert world.pull(TAG, admin) == 200
    world.reload("access.outage_grace", 0.0)
    assert world.pull(TAG, admin) == 503


def _access_networks(world: World) -> None:
    replica = world.run()
    answers = []
    for networks in ((), ("192.0.2.0/24",), ("192.0.2.0/24", "127.0.0.0/8"), ()):
        world.reload("access.networks", tuple(map(_network, networks)))
        answers.append(replica.client.get(TAG).status)
    assert answers == [200, 403, 200, 200]


def _access_trusted_proxies(world: World) -> None:
    replica = world.run()
    fields = {"X-Forwarded-For": "203.0.113.9"}
    for networks, client in (((), "127.0.0.1"), (("127.0.0.0/8",), "203.0.113.9")):
        world.reload("access.trusted_proxies", tuple(map(_network, networks)))
        assert replica.client.get(TAG, fields).status == 200
        assert replica.events("pull.served")[-1]["client"] == client


def _network(text: str) -> object:
    (setting,) = (each for each in settings_of(Settings) if each.key == "access.trusted_proxies")
    return setting.rule.kind.read(text)


def _log_level(world: World) -> None:
    replica = world.run()
    for level, lines in ((LogLevel.ERROR, 0), (LogLevel.INFO, 1)):
        world.reload("log.level", level)
        assert world.pull() == 200
        assert len(replica.events("pull.served")) == lines


def _storage_origins(world: World) -> None:
    storage = world.opened(hostile_upstream(host="127.0.0.3"))
    contents = [random_blob(1000, seed) for seed in ("before", "while", "after")]
    replica = world.run()
    statuses = []
    for content, origins in zip(contents, ((), (storage.url,), ()), strict=True):
        world.reload("primary.storage_origins", origins)
        world.upstream.contents.add_blob(REPOSITORY, content)
        storage.contents.objects["/object"] = content.data
        world.upstream.heal()
        world.upstream.inject(Redirect(f"{storage.url}/object"), path=BLOBS, times=None)
        statuses.append(replica.client.get(blob_path(REPOSITORY, content.digest)).status)
    assert statuses == [502, 200, 502]
    assert len(storage.seen) == 1


def _trusted_origins(world: World) -> None:
    tokens = world.opened(token_server(world.folder / "tokens", world.accounts, host="127.0.0.3"))
    world.upstream.settings = UpstreamSettings(login=TokenLogin(tokens))
    world.run(tags=LASTING)
    admin = world.accounts.credentials_of(OPERATOR)
    assert world.pull(TAG, admin) != 200
    assert tokens.requests == []
    world.reload("primary.trusted_origins", (f"http://{tokens.address}",))
    assert world.pull(TAG, admin) == 200
    assert {each.username for each in tokens.requests} == {OPERATOR}


def _drain_limit(world: World) -> None:
    content = world.upstream.contents.add_blob(REPOSITORY, random_blob(1 << 20, "stalled"))
    fault = world.upstream.inject(Stall(1000), path=BLOBS, method="GET")
    replica = world.run(listen={"drain_limit": 60.0})
    with raw_connection(replica.address) as client:
        path = blob_path(REPOSITORY, content.digest)
        client.send(request_bytes("GET", path, "127.0.0.1"))
        fault.wait_fired()
        world.reload("listen.drain_limit", 0.2)
        started_at = time.monotonic()
        replica.thread.run(replica.replica.stop())
        assert time.monotonic() - started_at < 10
        reply = client.read_reply()
        assert (reply.status, reply.is_complete) == (200, False)


def _replicating(world: World, **replication: object) -> Replicating:
    """Run a replica that copies what it is told of."""
    alone = {"backfill": Backfill.NONE, "reconcile_every": 0.0, "reconcile_rate": 1000}
    told_by = {"source": ReplicationSource.NOTIFICATIONS, **alone, **replication}
    return Replicating(world.run(replication=told_by))


def _is_copied(world: World, told: Replicating, tag: str, repository: str = REPOSITORY) -> bool:
    """Say whether a tag is copied that the replica is told of."""
    before = len(told.wait_done(0))
    told.tell(tag, repository)
    return told.wait_done(before + 1)[-1].end is CopyEnd.COMPLETE


def _replication_repositories(world: World) -> None:
    told = _replicating(world, repositories=("other/**",))
    assert not _is_copied(world, told, "v1")
    world.reload("replication.repositories", ("team/*",))
    assert _is_copied(world, told, "v1")


def _replication_tags(world: World) -> None:
    told = _replicating(world, tags=("release-*",))
    assert not _is_copied(world, told, "v1")
    world.reload("replication.tags", ("v*",))
    assert _is_copied(world, told, "v1")


def _replication_platforms(world: World) -> None:
    image = world.upstream.contents.add(REPOSITORY, multi_platform("reloaded"), "many")
    told = _replicating(world, platforms=("linux/arm64",))
    sizes = []
    for platforms in (("linux/arm64",), ("linux/amd64", "linux/arm64")):
        world.reload("replication.platforms", platforms)
        assert _is_copied(world, told, "many")
        sizes.append(len(visible_blobs(world.settings.store.root)))
    assert sizes[1] - sizes[0] == 1 + len(image.children[0].blobs) - len(_shared(image))


def _shared(image: Manifest) -> set[str]:
    """Give the digests that both platforms' images have."""
    one, other = ({each.digest for each in child.blobs} for child in image.children[:2])
    return one & other


def _replication_bandwidth(world: World) -> None:
    told = _replicating(world, bandwidth=50_000)
    seconds = []
    for bandwidth in (200_000, 0):
        world.reload("replication.bandwidth", bandwidth)
        name = f"paced-{bandwidth}"
        layers = [random_layer(204_800, name)]
        world.upstream.contents.add(REPOSITORY, oci_image(name, layers=layers), name)
        started_at = time.monotonic()
        assert _is_copied(world, told, name)
        seconds.append(time.monotonic() - started_at)
    assert seconds[0] > 0.7, "200 kB at 200 kB a second, a quarter of a second of it at once"
    assert seconds[1] < seconds[0]


async def _looked_at(told: Replicating) -> None:
    """Let the reconciler see now whether a round is due."""
    told.replication.journal.has_gap.set()


def _replication_reconcile_every(world: World) -> None:
    told = _replicating(world)
    told.running.thread.run(_looked_at(told))
    assert world.replica.events("reconcile.ended") == []
    world.reload("replication.reconcile_every", 60.0)
    world.later()
    told.running.thread.run(_looked_at(told))
    wait_until(lambda: world.replica.events("reconcile.ended"), 10.0, "a round")


def _replication_allow_mass_delete(world: World) -> None:
    told = _replicating(world)
    known = world.upstream.contents.repository(REPOSITORY).tags
    known |= {f"v{number}": known["v1"] for number in range(10)}
    for tag in known:
        assert _is_copied(world, told, tag)
    for number in range(8):
        del known[f"v{number}"]
    assert told.reconcile() is RoundEnd.HELD
    world.reload("replication.allow_mass_delete", value=True)
    assert told.reconcile() is RoundEnd.COMPLETE


EFFECTS: Mapping[str, Callable[[World], None]] = {
    "access.networks": _access_networks,
    "access.outage_grace": _access_outage_grace,
    "access.trusted_proxies": _access_trusted_proxies,
    "access.ttl": _access_ttl,
    "listen.drain_limit": _drain_limit,
    "log.level": _log_level,
    "primary.storage_origins": _storage_origins,
    "primary.trusted_origins": _trusted_origins,
    "replication.bandwidth": _replication_bandwidth,
    "replication.allow_mass_delete": _replication_allow_mass_delete,
    "replication.platforms": _replication_platforms,
    "replication.reconcile_every": _replication_reconcile_every,
    "replication.repositories": _replication_repositories,
    "replication.tags": _replication_tags,
    "tags.policies": _tags_policies,
    "tags.idle_verify": _tags_idle_verify,
    "tags.stale_limit": _tags_stale_limit,
    "tags.ttl": _tags_ttl,
    "tags.verify_every": _tags_verify_every,
}
RELOADED = tuple(each.key for each in settings_of(Settings) if each.rule.is_reloaded)


@pytest.mark.parametrize("key", RELOADED)
def test_a_change_is_felt(world: World, key: str):
    """Each setting that is declared to change at SIGHUP does, in what clients or the log see."""
    EFFECTS[key](world)


# --- all at once, or not at all -------------------------------------------------------------------


def test_the_password_is_read_again(world: World):
    """A new password in `primary.password_file` is used from the next reload on, no restart."""
    world.lock()
    password = world.folder / "password"
    password.write_text("wrong\n")
    world.run(primary={"url": world.upstream.url, "username": OPERATOR, "password_file": password})
    keeper = world.replica.replica._reloader._ground.callers.keeper
    before = _own(keeper)
    password.write_text("secret\n")
    assert world.reload("access.ttl", 60.0).changed == ()
    assert before != _own(keeper)
    assert _own(keeper).password == "secret"


def test_a_password_that_cannot_be_read_changes_nothing(world: World):
    """One bad file stops the whole reload: no setting of it is taken over."""
    password = world.folder / "password"
    password.write_text("secret\n")
    world.run(primary={"url": world.upstream.url, "username": OPERATOR, "password_file": password})
    before, settings = _own(world.replica.replica._reloader._ground.callers.keeper), world.settings
    password.unlink()
    with pytest.raises(ConfigError, match=r"primary\.password_file"):
        world.reload("tags.ttl", 1.0)
    assert world.settings == settings
    assert world.replica.replica._chain.rules.ttl == 60.0
    assert _own(world.replica.replica._reloader._ground.callers.keeper) == before


def _own(keeper: Any) -> Any:
    (own,) = keeper._own.values()
    return own


def test_a_pull_that_runs_is_not_disturbed(world: World):
    """A client in the middle of a fill gets every byte, whatever is reloaded meanwhile."""
    content = world.upstream.contents.add_blob(REPOSITORY, random_blob(1 << 20, "running"))
    fault = world.upstream.inject(Stall(1000), path=BLOBS, method="GET")
    replica = world.run()
    with raw_connection(replica.address) as client:
        path = blob_path(REPOSITORY, content.digest)
        client.send(request_bytes("GET", path, "127.0.0.1"))
        fault.wait_fired()
        for key, value in (("tags.ttl", 1.0), ("access.ttl", 1.0), ("log.level", LogLevel.DEBUG)):
            assert world.reload(key, value).changed == (key,)
        fault.release()
        assert client.read_reply().body == content.data
    wait_until(lambda: replica.flights == 0)
