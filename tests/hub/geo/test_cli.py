"""The verbs of operators about regions, against a hub that is a process of its own."""

import json

import pytest

from tests.hub.geo.catalogues import ADDRESSES, FRANKFURT, JAKARTA, SINGAPORE, catalogue_file
from tests.hub.place import ADMIN_TOKEN
from tests.hub.process import hub_process
from tests.support.command_line import proxima
from tests.support.waiting import wait_until

__all__ = ["proxima"]
NETWORK = "10.9.0.0/16"


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture
def hub(proxima, folder, monkeypatch):
    """A hub with a catalogue; what the verbs need to know is in the environment."""
    token = folder / "operator-token"
    token.write_text(f"{ADMIN_TOKEN}\n")
    geo = {"catalogue": str(catalogue_file(folder)), "reread": "100ms"}
    primary = {"url": "https://registry.example.com", "region": "eu-frankfurt"}
    with hub_process(folder, geo=geo, primary=primary) as process:
        process.start()
        monkeypatch.setenv("PROXIMA_HUB_URL", f"http://{process.api}")
        monkeypatch.setenv("PROXIMA_HUB_TOKEN_FILE", str(token))
        yield process


def test_what_operators_do_with_regions(hub, proxima, folder):
    """Regions are listed, drained and resumed; networks linked, listed and unlinked; a client's way
    is explained; a wrong edit of the catalogue shows, and what is refused says why.
    """
    listed = proxima("regions")
    assert listed.status == 0, listed.errors
    rows = [line.split() for line in listed.output.splitlines()]
    assert rows[0][:3] == ["REGION", "STANDING", "HEALTH"]
    assert [row[0] for row in rows[1:]] == list(ADDRESSES)
    assert proxima("drain", JAKARTA).output.split() == [JAKARTA, "drained"]
    (_, jakarta, _) = json.loads(proxima("regions", "--json").output)["regions"]
    assert jakarta["standing"] == "drained"
    assert proxima("resume", JAKARTA).output.split() == [JAKARTA, "up"]
    assert json.loads(proxima("drain", SINGAPORE, "--json").output)["is_drained"]
    unknown = proxima("drain", "nowhere")
    assert (unknown.status, "NOT_FOUND" in unknown.errors) == (1, True)

    linked = proxima("networks", "link", NETWORK, "--region", JAKARTA)
    assert (linked.status, linked.output.split()) == (0, [JAKARTA, NETWORK])
    again = proxima("networks", "link", NETWORK, "--region", JAKARTA)
    assert (again.status, "ALREADY_LINKED" in again.errors) == (1, True)
    assert proxima("networks", "list").output.split() == ["REGION", "NETWORK", JAKARTA, NETWORK]
    assert proxima("networks", "list", "--region", SINGAPORE).output.strip() == "none"
    (only,) = json.loads(proxima("networks", "list", "--json").output)
    assert only["network"] == NETWORK

    told = proxima("explain", "shop/api:1.0", "--from", "10.9.1.2")
    assert told.status == 0, told.errors
    assert f"goes to    {JAKARTA}: network {NETWORK}" in told.output
    assert ADDRESSES[JAKARTA] in told.output
    assert told.output.splitlines()[-3].split()[0] == JAKARTA
    document = json.loads(proxima("explain", "shop/api", "--from", "10.1.1.2", "--json").output)
    # Singapore is drained, and Jakarta is closed to all but the network linked to it.
    assert document["answer"]["region"] == FRANKFURT
    assert proxima("explain", "shop/api", "--from", "junk").status == 1

    unlinked = proxima("networks", "unlink", NETWORK, "--region", JAKARTA)
    assert unlinked.status == 0, unlinked.errors
    assert "from now on it serves everybody" in unlinked.errors
    gone = proxima("networks", "unlink", NETWORK, "--region", JAKARTA)
    assert (gone.status, "NOT_FOUND" in gone.errors) == (1, True)

    (folder / "regions.toml").write_text("default = 1\n")
    wrong = wait_until(lambda: (found := proxima("regions")).errors and found)
    assert wrong.status == 1
    assert "not in use" in wrong.errors
    assert "line 1" in wrong.errors
    assert SINGAPORE in wrong.output
