"""Networks from end to end: linked at the hub, the region's replica refuses everybody else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.geo.catalogues import SINGAPORE, catalogue_file
from tests.hub.place import ADMIN
from tests.hub.process import HubProcess, hub_process
from tests.support import images
from tests.support.hostile import hostile_upstream
from tests.support.ports import LOOPBACK
from tests.support.registry_client import RegistryClient
from tests.support.waiting import wait_until
from tests.web.serving import Serving, serving

REPOSITORY, PULL = "team/app", "/v2/team/app/manifests/v1"
OTHERS, OURS = "10.9.0.0/16", f"{LOOPBACK}/32"


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Iterator[HubProcess]:
    folder = tmp_path_factory.mktemp("hub")
    primary = {"url": "https://registry.example.com", "region": "eu-frankfurt"}
    geo = {"catalogue": str(catalogue_file(folder))}
    with hub_process(folder, geo=geo, primary=primary) as process:
        process.start()
        yield process


def ask(hub: HubProcess, method: str, path: str, body: object = None) -> Any:
    """Ask the hub as an operator."""
    data = b"" if body is None else json.dumps(body).encode()
    headers = {**ADMIN, "Content-Type": "application/json"}
    reply = RegistryClient(f"http://{hub.api}").request(method, path, headers, data)
    assert reply.status < 300, reply.body
    return json.loads(reply.body) if reply.body else None


@pytest.fixture(scope="module")
def served(hub: HubProcess, tmp_path_factory) -> Iterator[Serving]:
    """The replica of a region, which follows the hub."""
    token: Path = tmp_path_factory.mktemp("replica") / "token"
    created = ask(hub, "POST", "/v1/replicas", {"region": SINGAPORE})
    token.write_text(created["token"])
    source = {"source": "hub", "hub_url": f"http://{hub.api}", "token_file": str(token)}
    with hostile_upstream() as upstream:
        upstream.contents.add(REPOSITORY, images.oci_image("private"), "v1")
        with serving(upstream, replication=source) as running:
            yield running


def link(hub: HubProcess, network: str) -> None:
    ask(hub, "POST", "/v1/networks", {"region": SINGAPORE, "network": network})


def unlink(hub: HubProcess, network: str) -> None:
    ask(hub, "DELETE", f"/v1/networks/{SINGAPORE}/{network.replace('/', '_')}")


def test_a_client_of_another_network_is_refused(hub: HubProcess, served: Serving):
    """A network linked at the hub closes the region to clients outside of it, while the replica
    runs; their own network linked lets them in; none left opens the region.
    """
    client = RegistryClient(served.url)

    def answers(status: int) -> bool:
        return client.get(PULL).status == status

    wait_until(lambda: answers(200), what="the region is open")
    link(hub, OTHERS)
    wait_until(lambda: answers(403), what="the region is closed")
    assert client.get(PULL).json()["errors"][0]["code"] == "DENIED"
    link(hub, OURS)
    wait_until(lambda: answers(200), what="its own network is let in")
    unlink(hub, OURS)
    wait_until(lambda: answers(403), what="its own network is closed again")
    unlink(hub, OTHERS)
    wait_until(lambda: answers(200), what="the region is open again")


def test_the_hub_shows_what_clients_take(hub: HubProcess, served: Serving):
    """What the replica says of its load is shown beside its region."""
    client = RegistryClient(served.url)
    client.get("/v2/")

    def load() -> Any:
        (region, *_) = ask(hub, "GET", "/v1/regions")["regions"]
        return region["load"]

    assert wait_until(load).keys() == {"connections", "bytes_per_second"}
