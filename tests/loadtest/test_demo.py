"""What the demo promises, and how it says that a promise is broken."""

import pytest

from loadtest.demo.client import Client
from loadtest.demo.promise import (
    Cost,
    as_fast_as,
    asks_only_for_the_right,
    crosses_nothing,
    crosses_once,
    fetches_no_blob,
    is_unknown,
    nothing_fetched_back,
    stays_in_region,
    works_without_primary,
)
from loadtest.demo.scene import Primary
from loadtest.demo.shell import Shell
from loadtest.demo.table import Row, Table
from loadtest.image import make_image
from loadtest.login import Login
from loadtest.programs import Operator, ProgramFailed, StockRegistry
from tests.support.fixtures import require

DIRECT = Cost(2.0, 100_000, 1_000)


@pytest.fixture
def image(tmp_path):
    return make_image(tmp_path / "image", 1, (1_000_000,))


@pytest.mark.parametrize(
    ("ratio", "is_kept"), [(1.0, True), (1.01, True), (1.1, False), (2.0, False)]
)
def test_an_image_that_crosses_the_link_more_than_once_breaks_the_promise(image, ratio, is_kept):
    assert crosses_once(image, Cost(1.0, int(image.total_bytes * ratio), 0)).is_kept is is_kept


@pytest.mark.parametrize(("seconds", "is_kept"), [(1.0, True), (2.6, True), (3.0, False)])
def test_a_cold_pull_that_is_slower_than_a_direct_one_breaks_the_promise(image, seconds, is_kept):
    cost = Cost(seconds, image.total_bytes, 0)
    assert as_fast_as(DIRECT, image, cost).is_kept is is_kept


@pytest.mark.parametrize(
    ("seconds", "down_bytes", "is_kept"),
    [(0.5, 2_000, True), (0.5, 900_000, False), (2.5, 2_000, False)],
)
def test_a_warm_pull_stays_in_its_region_and_is_faster(seconds, down_bytes, is_kept):
    assert stays_in_region(DIRECT, Cost(seconds, down_bytes, 0)).is_kept is is_kept


def test_a_blob_that_is_fetched_back_after_a_push_breaks_the_promise():
    assert nothing_fetched_back(Cost(1.0, 3_000, 900_000)).is_kept
    assert not nothing_fetched_back(Cost(1.0, 300_000, 0)).is_kept


def test_with_the_primary_stopped_nothing_comes_over_the_link():
    assert works_without_primary(Cost(1.0, 0, 500)).is_kept
    assert not works_without_primary(Cost(1.0, 1, 0)).is_kept


@pytest.mark.parametrize(
    ("promise", "down_bytes", "up_bytes", "is_kept"),
    [
        (fetches_no_blob, 60_000, 0, True),
        (fetches_no_blob, 70_000, 0, False),
        (asks_only_for_the_right, 400, 600, True),
        (asks_only_for_the_right, 5_000, 600, False),
        (crosses_nothing, 0, 0, True),
        (crosses_nothing, 1, 0, False),
        (crosses_nothing, 0, 1, False),
    ],
)
def test_what_a_pull_in_a_told_region_may_cost(promise, down_bytes, up_bytes, is_kept):
    assert promise(Cost(1.0, down_bytes, up_bytes)).is_kept is is_kept


def test_a_deleted_image_that_is_still_found_breaks_the_promise():
    assert is_unknown(is_found=False).is_kept
    assert not is_unknown(is_found=True).is_kept


def test_the_table_has_ratios_to_the_direct_pull_and_knows_what_is_broken(capsys):
    table = Table()
    table.open()
    table.add(Row("directly", DIRECT, direct=DIRECT))
    warm = Cost(0.5, 900_000, 0)
    table.add(Row("warm", warm, stays_in_region(DIRECT, warm), DIRECT))
    table.add(Row("pushed", Cost(0.7, 0, 0)))
    said = capsys.readouterr().out
    assert [word for word in said.split() if word.endswith("x")] == ["1.00x", "0.25x"]
    assert "900.0 kB" in said
    assert "BROKEN: no blob crosses the link" in said
    assert [row.step for row in table.broken] == ["warm"]


def test_an_existing_primary_comes_from_the_environment():
    primary = Primary.from_environment(
        {
            "DEMO_PRIMARY": "https://registry.example.com/",
            "DEMO_USERNAME": "ci",
            "DEMO_PASSWORD": "secret",
            "DEMO_REPOSITORY": "team/demo",
            "DEMO_TRUSTED_ORIGINS": "https://auth.example.com https://blobs.example.com",
        }
    )
    assert primary == Primary(
        "https://registry.example.com",
        "team/demo",
        Login("ci", "secret"),
        trusted_origins=("https://auth.example.com", "https://blobs.example.com"),
    )
    assert primary.address == ("registry.example.com", 443)
    assert primary.place == "registry.example.com"


def test_without_one_the_demo_starts_its_own():
    assert Primary.from_environment({}) is None


@pytest.mark.parametrize("url", ["registry.example.com", "ftp://registry.example.com", "http://"])
def test_a_primary_that_is_no_url_is_named(url):
    with pytest.raises(ProgramFailed, match="not a URL"):
        _ = Primary(url, "team/demo", None).address


def test_a_deleted_image_is_told_from_a_registry_that_is_away(tmp_path, image):
    """A client finds an image until it is deleted; an outage is an error and no "not found"."""
    for program in ("docker-registry", "skopeo"):
        require(program)
    with StockRegistry(tmp_path / "registry", login=True) as registry:
        client = Client(tmp_path / "client", registry.address, "team/app", registry.login)
        client.push(image)
        assert client.finds(image)
        client.delete(image)
        assert not client.finds(image)
        registry.end()
        with pytest.raises(ProgramFailed, match="connection refused"):
            client.finds(image)


def test_the_shell_shows_what_is_typed_and_what_is_printed(tmp_path, capsys):
    """A verb is shown as a reader would type it, its output indented below."""
    shell = Shell(Operator("http://127.0.0.1:9", tmp_path / "token"))
    shell.open()
    shell.run(
        "client-config", "docker", "--registry", "a.example", "--replica", "https://b.example"
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  $ export PROXIMA_HUB_URL=http://127.0.0.1:9"
    typed = "proxima client-config docker --registry a.example --replica https://b.example"
    assert lines[2] == f"  $ {typed}"
    assert len(lines) > 4
    assert all(line.startswith("    ") or not line for line in lines[3:])
