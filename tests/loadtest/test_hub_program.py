"""The hub as the demo and the benchmarks run it: with a real primary, replica and command line."""

import stat

import pytest

from loadtest.address import parse_address
from loadtest.image import make_image
from loadtest.link import LinkSettings
from loadtest.programs import (
    Hub,
    Join,
    LinkProgram,
    Operator,
    ProgramFailed,
    Replica,
    Skopeo,
    StockRegistry,
)
from loadtest.programs.settings import as_toml, laid_over
from tests.support.fixtures import require

REGION = "sa-saopaulo"


def test_settings_are_laid_over_one_another_by_key():
    """What a caller sets goes before a program's own settings, key by key."""
    own = {"listen": {"ops": "127.0.0.1:0", "backlog": 5}}
    given = {"listen": {"backlog": 9}, "lease": {"seconds": "2s"}}
    settings = laid_over(own, given)
    assert as_toml(settings) == (
        '[listen]\nops = "127.0.0.1:0"\nbacklog = 9\n[lease]\nseconds = "2s"\n'
    )


def test_what_a_stock_registry_is_pushed_arrives_at_a_replica_that_an_operator_made(tmp_path):
    """A stock registry notifies the hub, and a replica made by `proxima replicas create` copies,
    over a link to the hub too.
    """
    for program in ("docker-registry", "skopeo"):
        require(program)
    primary = StockRegistry(tmp_path / "primary")
    settings = {"primary": {"region": "na-ashburn"}}
    hub = Hub(tmp_path / "hub", primary=primary.url, settings=settings)
    primary.notify(hub.notifications, hub.sender)
    image = make_image(tmp_path / "image", 1, (100_000,))
    with hub, primary:
        token_file = tmp_path / "token"
        hub.operator.create_replica(REGION, token_file)
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        link = LinkProgram(
            parse_address(hub.address), LinkSettings(round_trip_seconds=0.01), tmp_path, "hub-link"
        )
        with (
            link,
            Replica(
                tmp_path / "replica",
                primary=Join(f"http://{link.address}", token_file),
            ) as replica,
        ):
            Skopeo(tmp_path / "home").copy(image.place, f"docker://{primary.address}/team/app:1.0")
            reference = f"team/app@{image.digest}"
            arrived = hub.operator.ask("wait", reference, "--all", "--timeout", "20s")
            assert [each["region"] for each in arrived["regions"]] == [REGION]
            assert (replica.store / "docker/registry/v2/repositories/team/app").is_dir()
            (entry,) = hub.ask("/v1/logs?repository=team/app&tag=1.0")["entries"]
            assert (entry["state"], entry["digest"]) == ("complete", image.digest)
            assert link.counts().down_bytes > 0
            assert hub.rss_bytes > 10**7


def test_a_script_notifies_a_hub_and_what_it_refuses_is_an_error(tmp_path):
    """Events in our own form are in the log; what fails says what the hub said."""
    with Hub(tmp_path, primary="http://127.0.0.1:9") as hub:
        hub.notify({"version": 1, "event": "tag.deleted", "repository": "team/app", "tag": "1.0"})
        assert hub.operator.ask("replay", "--repository", "team/app")["replayed"] == 1
        with pytest.raises(ProgramFailed, match=r"proxima replicas show nobody ended with 1: \S"):
            hub.operator.run("replicas", "show", "nobody")
        with pytest.raises(ProgramFailed, match="404"):
            hub.ask("/v1/nothing")


def test_commands_are_shown_as_typed():
    """What the demo shows can be copied into a shell."""
    assert Operator.as_typed("wait", "a/b c") == "proxima wait 'a/b c'"
