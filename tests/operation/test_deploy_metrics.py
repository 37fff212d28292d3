"""Dashboard and alerts against a replica and a hub: what they name is there and has answers."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from config.docs import ROOT
from tests.hub.process import hub_process
from tests.support import images
from tests.support.fixtures import require
from tests.support.hostile import HostileUpstream, hostile_upstream
from tests.support.metrics import Metrics
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.processes import Program, run
from tests.support.processes import serving as program_serving
from tests.support.pushing import pull, push
from tests.support.registry_client import RegistryClient
from tests.support.waiting import wait_until
from tests.web.serving import Serving, serving

REPOSITORY = "team/app"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "proxima.json"
VARIABLES = {"$__rate_interval": "10s", "$instance": ".+", "$hub": ".+"}
OF_THE_SCRAPE = {"instance", "job"}

_SELECTOR = re.compile(r"\b((?:proxima|process|python)_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(=~|!=|=|!~)"([^"]*)"')


def _dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def _panels() -> list[dict[str, Any]]:
    return [panel for panel in _dashboard()["panels"] if panel["type"] != "row"]


def _queries() -> list[str]:
    """Give what the dashboard asks, with its variables filled in."""
    asked = [target["expr"] for panel in _panels() for target in panel["targets"]]
    asked += [each["expr"] for each in _dashboard()["annotations"]["list"]]
    for variable, value in VARIABLES.items():
        asked = [query.replace(variable, value) for query in asked]
    return asked


def _selectors() -> Mapping[str, list[tuple[str, str]]]:
    """Give the metrics that are named anywhere, with (label, value) pairs that are asked for."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, matchers in _SELECTOR.findall(" ".join([ALERTS.read_text(), *_queries()])):
        pairs = found.setdefault(name, [])
        for label, operator, values in _MATCHER.findall(matchers):
            each = values.split("|") if "~" in operator else [values]
            pairs += [(label, value) for value in each if label not in OF_THE_SCRAPE]
    return found


@pytest.fixture(scope="module")
def upstream() -> Iterator[HostileUpstream]:
    with hostile_upstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: HostileUpstream, tmp_path_factory) -> Iterator[Serving]:
    """A replica that has pulled and pushed a bit, and follows a hub, which is away."""
    token = tmp_path_factory.mktemp("hub") / "token"
    token.write_text("a-join-token-that-nobody-knows")
    hub = {"source": "hub", "hub_url": f"http://{LOOPBACK}:9", "token_file": str(token)}
    image = images.oci_image("watched")
    upstream.contents.add(REPOSITORY, image, "v1")
    with serving(upstream, replication=hub) as running:
        _use(running)
        push(RegistryClient(running.url), REPOSITORY, images.oci_image("pushed"), "v2")
        yield running


@pytest.fixture(scope="module")
def hub(served: Serving, tmp_path_factory) -> Iterator[str]:
    """The ops listener of a hub whose catalogue has the replica's region."""
    folder = tmp_path_factory.mktemp("regions")
    catalogue = folder / "regions.toml"
    catalogue.write_text(
        'default = "ap-singapore"\n[regions.ap-singapore]\naddresses = ["127.0.0.1"]\n'
        f'ready = "http://{served.ops}/readyz"\n'
    )
    with hub_process(folder, geo={"catalogue": str(catalogue), "probe_every": "1s"}) as process:
        process.start()
        (ready,) = process.events("hub.ready")
        yield str(ready["ops"])


def _use(running: Serving) -> None:
    assert pull(RegistryClient(running.url), REPOSITORY, "v1").status == 200


@pytest.mark.parametrize("name", sorted(_selectors()))
def test_what_is_named_is_there(served: Serving, hub: str, name: str):
    """C30: each metric of dashboard and alerts is in a replica's exposition or in a hub's, with the
    labels and the values that are asked for, before anything has happened that would make them.
    """
    metrics = served.metrics()
    if name.startswith("proxima_hub_"):
        metrics = wait_until(lambda: _of_hub_that_probed(hub))
    samples = [each for each in metrics.samples if each.name == name]
    assert samples, f"{name} is nowhere"
    for label, value in _selectors()[name]:
        assert value in {each.labels.get(label) for each in samples}, f"{name}: {label}={value}"


def _of_hub_that_probed(hub: str) -> Metrics | None:
    """Give its metrics once it has looked at its region."""
    page = RegistryClient(f"http://{hub}").get("/metrics").expect(200)
    found = Metrics.parse(page.body.decode())
    return found if found.value("proxima_hub_region_probe_seconds") else None


def test_names_and_labels_are_found():
    """The check above sees what there is to see: names with and without labels, of both files."""
    found = _selectors()
    assert ("outcome", "bad_gateway") in found["proxima_requests_total"]
    assert ("reason", "left") in found["proxima_proxy_headers_refused_total"]
    assert found["proxima_flights"] == []


def test_its_queries_can_be_read(tmp_path: Path):
    """Prometheus parses every query of the dashboard."""
    require("promtool")
    rules = [{"record": f"q:{n}", "expr": query} for n, query in enumerate(_queries())]
    path = tmp_path / "queries.yml"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    run(("promtool", "check", "rules", "--lint=none", str(path))).check()


def test_its_panels_stand_side_by_side():
    """No panel covers another, each has a number of its own, a title and a sentence."""
    panels = _dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in _panels():
        assert panel["title"]
        assert panel["description"].endswith(".")
        for target in panel["targets"]:
            assert "$instance" in target["expr"] or "$hub" in target["expr"]
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        assert not _overlap(one, other)


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    is_below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (is_beside or is_below)


# --- a real Prometheus ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prometheus(served: Serving, hub: str, tmp_path_factory) -> Iterator[RegistryClient]:
    """A Prometheus that scrapes the replica and the hub, and knows the alerts."""
    require("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    job = {"job_name": "proxima", "static_configs": [{"targets": [served.ops, hub]}]}
    settings = {
        "global": {"scrape_interval": "250ms", "evaluation_interval": "250ms"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{**job, "scrape_timeout": "250ms"}],
    }
    config = folder / "prometheus.yml"
    config.write_text(json.dumps(settings))
    with claimed_port() as port:
        argv = (
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={LOOPBACK}:{port}",
        )
        with program_serving(Program(argv, folder / "prometheus.log"), port):
            client = RegistryClient(f"http://{LOOPBACK}:{port}")
            wait_until(lambda: client.get("/-/ready").status == 200, 20, "Prometheus is ready")
            yield client


def _series(prometheus: RegistryClient, query: str) -> list[Any]:
    reply = prometheus.get(f"/api/v1/query?query={quote(query, safe='')}").expect(200)
    found: list[Any] = reply.json()["data"]["result"]
    return found


def test_every_panel_shows_something(served: Serving, prometheus: RegistryClient):
    """Asked of a real Prometheus that scrapes a replica in use, each query has an answer."""
    empty = {query for query in _queries() if not query.startswith("changes(")}

    def shown() -> bool:
        _use(served)
        empty.difference_update([query for query in empty if _series(prometheus, query)])
        return not empty

    try:
        wait_until(shown, 20)
    finally:
        assert empty == set()


def test_a_real_prometheus_raises_no_alarm(served: Serving, prometheus: RegistryClient):
    """A replica that is well raises no alert, not even one that waits for its time, but for the
    hub that this one lacks.
    """
    wait_until(lambda: len(_series(prometheus, 'up{job="proxima"} == 1')) == 2, 20, "both scraped")
    states = wait_until(lambda: _evaluated(prometheus), 20, "all rules were looked at")
    assert states.pop("ProximaNoLease") == ("pending", "ok")
    assert set(states.values()) == {("inactive", "ok")}, states


def _evaluated(prometheus: RegistryClient) -> dict[str, tuple[str, str]]:
    """Give state and health of each alert, nothing until all of them were looked at."""
    (group,) = prometheus.get("/api/v1/rules?type=alert").json()["data"]["groups"]
    found = {rule["name"]: (rule["state"], rule["health"]) for rule in group["rules"]}
    return {} if ("inactive", "unknown") in found.values() else found
