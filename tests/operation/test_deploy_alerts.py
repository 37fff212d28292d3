"""deploy/prometheus/alerts.yml: each alert fires when it should, by itself, and not before."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.docs import ROOT
from tests.support.fixtures import require
from tests.support.processes import run

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
NAMES = re.findall(r"- alert: (\w+)", ALERTS.read_text())
MINUTES = 90

# A busy replica that is well, minute by minute, in promtool's notation.
HEALTHY: Mapping[str, str] = {
    'up{job="proxima"}': "1",
    'process_start_time_seconds{job="proxima"}': "1000",
    'process_open_fds{job="proxima"}': "700",
    'process_max_fds{job="proxima"}': "1000",
    'proxima_requests_total{outcome="served"}': "0+6000",
    'proxima_requests_total{outcome="absent"}': "0+600",
    'proxima_requests_total{outcome="unavailable"}': "0+60",
    'proxima_request_seconds_bucket{kind="manifest",le="1"}': "0+5900",
    'proxima_request_seconds_bucket{kind="manifest",le="10"}': "0+5990",
    'proxima_request_seconds_bucket{kind="manifest",le="+Inf"}': "0+6000",
    'proxima_breakers{state="closed"}': "2",
    'proxima_breakers{state="open"}': "0",
    'proxima_breakers{state="probing"}': "0",
    "proxima_stale_answers_total": "7",
    'proxima_fills_total{end="committed"}': "0+100",
    'proxima_fills_total{end="broken"}': "0+1",
    'proxima_fills_total{end="mismatch"}': "1",
    'proxima_fills_total{end="uncached"}': "3",
    "proxima_upstream_bytes_total": "0+110e6",
    "proxima_distinct_bytes_total": "0+100e6",
    "proxima_store_failures_total": "2",
    "proxima_quarantined_total": "1",
    "proxima_sidecar_failures": "4",
    'proxima_loop_lag_seconds_bucket{le="0.01"}': "0+238",
    'proxima_loop_lag_seconds_bucket{le="0.1"}': "0+240",
    'proxima_loop_lag_seconds_bucket{le="1"}': "0+240",
    'proxima_loop_lag_seconds_bucket{le="+Inf"}': "0+240",
    "proxima_replication_behind_seconds": "3",
    "proxima_replication_dead": "0",
    "proxima_lease": "1",
    "proxima_reconcile_held_deletions": "0",
    'proxima_reconcile_rounds_total{end="complete"}': "0+1",
    'proxima_reconcile_rounds_total{end="held"}': "1",
    'proxima_reconcile_rounds_total{end="unreachable"}': "3",
    'proxima_hub_region_up{region="ap-singapore"}': "1",
    'proxima_hub_region_up{region="ap-jakarta"}': "1",
    'proxima_hub_region_drained{region="ap-singapore"}': "0",
    'proxima_hub_region_drained{region="ap-jakarta"}': "1",
    "proxima_hub_regions_refused": "0",
    'proxima_clients_refused_total{reason="outside"}': "0+60",
    'proxima_clients_refused_total{reason="unknown"}': "3",
    'proxima_proxy_headers_refused_total{reason="left"}': "0+60",
    'proxima_proxy_headers_refused_total{reason="malformed"}': "5",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What is wrong, since minute 30; what fires *after* so many minutes, and not at *before*."""

    alert: str
    series: Mapping[str, str]
    after: int
    before: int = 0


SINCE = 30
CASES = (
    Case("ProximaDown", {'up{job="proxima"}': "0"}, 3, 1),
    Case("ProximaRestarts", {'process_start_time_seconds{job="proxima"}': "1000+1"}, 5, 2),
    Case("ProximaFailing", {'proxima_requests_total{outcome="unavailable"}': "1860+1500"}, 10, 4),
    Case("ProximaFailing", {'proxima_requests_total{outcome="failed"}': "0+1500"}, 10, 4),
    Case(
        "ProximaSlowManifests",
        {'proxima_request_seconds_bucket{kind="manifest",le="10"}': "179700+5900"},
        16,
        8,
    ),
    Case(
        "ProximaPrimaryUnreachable",
        {'proxima_breakers{state="closed"}': "0", 'proxima_breakers{state="open"}': "2"},
        2,
    ),
    Case(
        "ProximaPrimaryUnreachable",
        {'proxima_breakers{state="closed"}': "0", 'proxima_breakers{state="probing"}': "2"},
        2,
    ),
    Case(
        "ProximaPrimaryAddressOut",
        {'proxima_breakers{state="closed"}': "1", 'proxima_breakers{state="open"}': "1"},
        11,
        9,
    ),
    Case("ProximaServesStale", {"proxima_stale_answers_total": "7+3"}, 12, 9),
    Case("ProximaFillsBreak", {'proxima_fills_total{end="broken"}': "30+30"}, 25, 14),
    Case("ProximaWrongBytes", {'proxima_fills_total{end="mismatch"}': "2"}, 1),
    Case("ProximaLinkUsedTwice", {"proxima_upstream_bytes_total": "3.3e9+200e6"}, 58, 20),
    Case("ProximaStoreFailing", {"proxima_store_failures_total": "3"}, 6, 4),
    Case("ProximaPassesThrough", {'proxima_fills_total{end="uncached"}': "3+1"}, 12, 9),
    Case("ProximaContentDamaged", {"proxima_quarantined_total": "2"}, 1),
    Case("ProximaSidecarFailing", {"proxima_sidecar_failures": "9"}, 6, 4),
    Case("ProximaRegionBehind", {"proxima_replication_behind_seconds": "1000"}, 6, 4),
    Case("ProximaCopiesGivenUp", {"proxima_replication_dead": "2"}, 6, 4),
    Case("ProximaNoLease", {"proxima_lease": "0"}, 16, 14),
    Case("ProximaDeletionsHeld", {"proxima_reconcile_held_deletions": "12"}, 1),
    Case(
        "ProximaNotCompared",
        {
            'proxima_reconcile_rounds_total{end="complete"}': "30",
            'proxima_reconcile_rounds_total{end="unreachable"}': "3+1",
        },
        48,
        40,
    ),
    Case("ProximaRegionDown", {'proxima_hub_region_up{region="ap-jakarta"}': "0"}, 2),
    Case("ProximaNoRegion", {'proxima_hub_region_drained{region="ap-singapore"}': "1"}, 2),
    Case("ProximaRegionsRefused", {"proxima_hub_regions_refused": "1"}, 6, 4),
    Case(
        "ProximaLoopLate",
        {
            'proxima_loop_lag_seconds_bucket{le="0.01"}': "7140+150",
            'proxima_loop_lag_seconds_bucket{le="0.1"}': "7200+200",
        },
        16,
        9,
    ),
    Case("ProximaFewDescriptors", {'process_open_fds{job="proxima"}': "900"}, 6, 4),
    Case(
        "ProximaNetworksUnknown",
        {'proxima_clients_refused_total{reason="unknown"}': "3+1"},
        2,
    ),
    Case(
        "ProximaConnectionsRefused",
        {'proxima_proxy_headers_refused_total{reason="malformed"}': "5+1"},
        17,
        14,
    ),
)


def _values(healthy: str, wrong: str | None) -> str:
    """Give one value a minute: healthy ones, from SINCE on the wrong ones."""
    if wrong is None:
        return _stretched(healthy, MINUTES)
    return f"{_stretched(healthy, SINCE - 1)} {_stretched(wrong, MINUTES - SINCE)}"


def _stretched(values: str, minutes: int) -> str:
    return f"{values}x{minutes}" if "+" in values else f"{values}+0x{minutes}"


def _firing(folder: Path, wrong: Mapping[str, str], expected: Mapping[int, set[str]]) -> None:
    """Let promtool say what fires at which minute. Raises: ProgramFailed: something else."""
    require("promtool")
    unknown = wrong.keys() - HEALTHY.keys()
    series = [
        {"series": _with_instance(name), "values": _values(HEALTHY.get(name, "0"), wrong.get(name))}
        for name in (*HEALTHY, *unknown)
    ]
    tests = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute}m",
            "exp_samples": [
                {"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)
            ],
        }
        for minute, names in expected.items()
    ]
    plan = folder / "plan.yml"  # JSON is YAML
    group = {"interval": "1m", "input_series": series, "promql_expr_test": tests}
    plan.write_text(
        json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [group]})
    )
    run(("promtool", "test", "rules", str(plan))).check()


def _with_instance(name: str) -> str:
    return f'{name[:-1]},instance="a"}}' if name.endswith("}") else f'{name}{{instance="a"}}'


def test_the_rules_are_well_formed():
    """promtool reads all of them; each says how bad it is and what to do."""
    require("promtool")
    run(("promtool", "check", "rules", str(ALERTS))).check()
    rules = ALERTS.read_text().split("- alert: ")[1:]
    for rule in rules:
        assert re.search(r"labels: \{severity: (critical|warning)\}", rule)
        assert all(word in rule for word in ("summary:", "description:"))


def test_a_healthy_replica_raises_nothing(tmp_path: Path):
    """Load, a few refusals, past failures and one broken fill in a hundred are no alarm."""
    _firing(tmp_path, {}, {minute: set() for minute in range(0, MINUTES, 10)})


@pytest.mark.parametrize("case", CASES, ids=[f"{case.alert}-{n}" for n, case in enumerate(CASES)])
def test_an_alert_fires(tmp_path: Path, case: Case):
    """What goes wrong raises its alert and no other; what was shorter raises none."""
    expected = {SINCE + case.after: {case.alert}, SINCE - 1: set()}
    if case.before:
        expected[SINCE + case.before] = set()
    _firing(tmp_path, case.series, expected)


def test_every_alert_is_tried():
    """No rule is without a case in which it fires."""
    assert {case.alert for case in CASES} == set(NAMES)
    assert len(NAMES) == len(set(NAMES))
