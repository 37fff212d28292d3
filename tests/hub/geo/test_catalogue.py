"""The catalogue's file: wrong at the start, edited well, edited wrongly, gone."""

import os
from pathlib import Path

import pytest

from hub.cli.serve import why
from tests.hub.api import api_settings, serving_hub
from tests.hub.geo.catalogues import ADDRESSES, JAKARTA, SINGAPORE, catalogue_text
from tests.hub.place import SECRETS
from tests.hub.process import hub_process
from tests.support.command_line import proxima
from tests.support.metrics import Metrics
from tests.support.processes import ProgramFailed
from tests.support.toml import write_toml
from tests.support.waiting import eventually

__all__ = ["proxima"]

WRONG = """\
default = "nowhere"
[regions.ap-singapore]
addresses = ["x"]
networks = ["10.1.0.1/16"]
"""


def write(path: Path, text: str | bytes) -> None:
    """Write a file as an editor does: another one in its place."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(text if isinstance(text, bytes) else text.encode())
    fresh.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the hub that is served."""
    return tmp_path / "regions.toml"


async def regions(api):
    return (await api.ask("GET", "/v1/regions")).expect(200).document


async def refused_by_metric(hub, api) -> float:
    host, port = hub.ops_address
    async with api.session.get(f"http://{host}:{port}/metrics") as answer:
        return Metrics.parse(await answer.text()).value("proxima_hub_regions_refused")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (WRONG, ["line 1:", "nowhere", "line 3:", "line 4:", "host bits"]),
        ("default = ", ["line 1:"]),
        ("", ["regions"]),
        (b"\xff\xfe", ["utf-8"]),
        (None, ["No such file"]),
    ],
)
async def test_a_wrong_catalogue_stops_the_start(tmp_path, path, text, told):
    """The hub doesn't start, and says all that is wrong, with lines; nothing keeps listening."""
    if text is not None:
        write(path, text)
    with pytest.raises((ValueError, OSError)) as caught:
        async with serving_hub(tmp_path, geo__catalogue=str(path)):
            pass
    for each in told:
        assert each in why(caught.value)


def test_the_operator_sees_why_it_doesnt_start(tmp_path, path):
    """`proxima hub` ends with status 1, the problems on standard error."""
    write(path, WRONG)
    with hub_process(tmp_path, geo={"catalogue": str(path)}) as process:
        with pytest.raises(ProgramFailed) as caught:
            process.start()
        assert process.process.wait() == 1
    assert "line 3:" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_check_config_reads_the_catalogue(tmp_path, path, proxima, monkeypatch):
    """`proxima hub check-config` says what is wrong in the catalogue, and that nothing is."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    database = f"sqlite:///{tmp_path / 'hub.db'}"
    settings = {"primary": {"url": "http://127.0.0.1:9"}, "database": {"url": database}}
    config = write_toml(tmp_path / "hub.toml", {**settings, "geo": {"catalogue": str(path)}})
    write(path, WRONG)
    checked = proxima("hub", "check-config", "--config", config)
    assert checked.status == 2
    assert "line 4:" in checked.errors
    write(path, catalogue_text())
    assert proxima("hub", "check-config", "--config", config).status == 0


async def test_an_edit_is_taken_up(hub, api, path):
    """A good edit is in use soon, for operators and DNS servers, without a restart."""
    before = (await api.ask("GET", "/v1/geo")).document
    write(path, catalogue_text({JAKARTA: "weight = 7\ndrain = true\n"}))
    await eventually(lambda: hub._geographic._regions.region(JAKARTA).weight == 7)
    (_, jakarta, _) = (await regions(api))["regions"]
    assert (jakarta["weight"], jakarta["standing"], jakarta["is_drained"]) == (7, "drained", True)
    after = (await api.ask("GET", "/v1/geo")).document
    assert after["revision"] != before["revision"]
    assert after["standings"][JAKARTA] == "drained"
    refused = await api.ask("POST", f"/v1/regions/{JAKARTA}/resume")
    assert refused.expect(409).error["code"] == "DRAINED_BY_CATALOGUE"


@pytest.mark.parametrize("wrong", [WRONG, "default = ", b"\xff\xfe", None, "unreadable"])
async def test_a_wrong_edit_leaves_the_old_one_in_use(hub, api, path, tmp_path, wrong):
    """What is wrong with an edit is a note beside the regions, a metric and a line of the log; the
    catalogue before it stays, until the file is mended.
    """
    before = (await api.ask("GET", "/v1/geo")).document
    assert await refused_by_metric(hub, api) == 0
    if wrong is None:
        path.unlink()
    elif wrong == "unreadable":
        path.unlink()
        path.mkdir()
    else:
        write(path, wrong)
    await eventually(hub._geographic.note)
    found = await regions(api)
    assert str(path) in found["note"]
    assert [each["name"] for each in found["regions"]] == list(ADDRESSES)
    assert (await api.ask("GET", "/v1/geo")).document == before
    assert await refused_by_metric(hub, api) == 1
    hub._telemetry.log.flush()
    assert (tmp_path / "hub.jsonl").read_text().count('"catalogue.refused"') == 1
    if wrong == "unreadable":
        path.rmdir()
    write(path, catalogue_text())
    await eventually(lambda: not hub._geographic.note())
    assert (await regions(api))["note"] == ""
    assert await refused_by_metric(hub, api) == 0


async def test_a_reload_looks_at_once(tmp_path, path):
    """`reload` takes an edit up that `reread` would find much later."""
    write(path, catalogue_text())
    async with serving_hub(tmp_path, geo__catalogue=str(path), geo__reread="1h") as (hub, _):
        stat = path.stat()
        path.write_text(catalogue_text({SINGAPORE: "weight = 5\n"}))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        await hub._geographic.reload()
        assert hub._geographic._regions.region(SINGAPORE).weight == 5


async def test_a_region_that_goes_takes_nothing_along(hub, api, path):
    """Networks and drains of a region outlive its absence from the catalogue, and can be undone."""
    await api.ask("POST", "/v1/networks", {"region": JAKARTA, "network": "10.9.0.0/16"})
    await api.ask("POST", f"/v1/regions/{JAKARTA}/drain")
    whole = catalogue_text()
    write(path, whole.replace(JAKARTA, "ap-seoul"))
    await eventually(lambda: hub._geographic._regions.catalogue.region("ap-seoul"))
    told = (await api.ask("GET", "/v1/geo")).document
    assert JAKARTA not in {**told["standings"], **told["linked"]}
    write(path, whole)
    await eventually(lambda: hub._geographic._regions.catalogue.region(JAKARTA))
    told = (await api.ask("GET", "/v1/geo")).document
    assert (told["standings"][JAKARTA], told["linked"]) == ("drained", {JAKARTA: ["10.9.0.0/16"]})


def test_settings_of_geo_are_checked(tmp_path):
    """A canary is a reference, a login has a password, a duration its limits."""
    for wrong in (
        {"geo__canary": "UPPER:1"},
        {"geo__canary": "a b"},
        {"geo__canary_username": "canary"},
        {"geo__probe_every": "10ms"},
        {"geo__port": 0},
    ):
        with pytest.raises(Exception, match=r"geo\."):
            api_settings(tmp_path, **wrong)
