"""The settings of the process beside a DNS server: loaded as the others are."""

import pytest

from config import Address, ConfigError, load, load_dns, load_hub
from config.declare import settings_of
from config.dns import DnsSettings
from tests.config.test_hub import GOOD as GOOD_OF_THE_HUB

GOOD = {
    "PROXIMA_DNS_HUB__URL": "https://hub.internal:8443",
    "PROXIMA_DNS_HUB__TOKEN_FILE": "token",
    "PROXIMA_DNS_ZONE__DOMAIN": "registry.example.com",
    "PROXIMA_DNS_ZONE__NAMESERVERS": "ns1.example.com,ns2.example.com",
    "PROXIMA_DNS_STATE__FILE": "state.json",
}


def problems(**variables: str) -> list[str]:
    """Give the keys of the problems that these variables make of good settings."""
    given = {f"PROXIMA_DNS_{name}": value for name, value in variables.items()}
    try:
        load_dns(None, GOOD | given, {})
    except ConfigError as exc:
        return sorted(problem.key for problem in exc.problems)
    return []


def test_variables_are_its_own() -> None:
    """Hub, replica and this process may share an environment: none minds the others' variables."""
    mixed = GOOD | GOOD_OF_THE_HUB | {"PROXIMA_LISTEN__OPS": "127.0.0.1:1"}
    assert load_dns(None, mixed, {}).listen.ops == Address("127.0.0.1", 9102)
    assert load_hub(None, mixed, {}).listen.ops == Address("127.0.0.1", 9101)
    flags = {"primary.url": "http://127.0.0.1:5000", "store.root": "data"}
    assert load(None, mixed, flags).listen.ops == Address("127.0.0.1", 1)
    assert all(each.variable.startswith("PROXIMA_DNS_") for each in settings_of(DnsSettings))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, []),
        ({"LISTEN__OBS": "127.0.0.1:1"}, ["PROXIMA_DNS_LISTEN__OBS"]),
        ({"LISTEN__BACKEND": "10.0.0.1:8053"}, ["listen.backend"]),
        ({"LISTEN__BACKEND": "[::1]:8053"}, []),
        ({"HUB__URL": "http://hub.internal:8443"}, ["hub.url"]),
        ({"HUB__URL": "http://127.0.0.1:8443"}, []),
        ({"ZONE__DOMAIN": "Registry.example.com"}, ["zone.domain"]),
        ({"ZONE__DOMAIN": "registry.example.com."}, ["zone.domain"]),
        ({"ZONE__DOMAIN": f"{'a' * 64}.example.com"}, ["zone.domain"]),
        ({"ZONE__NAMESERVERS": ""}, ["zone.nameservers"]),
        ({"ZONE__HOSTMASTER": "ops@example.com"}, ["zone.hostmaster"]),
    ],
)
def test_what_is_refused(variables: dict[str, str], expected: list[str]) -> None:
    """Each problem is told by its key."""
    assert sorted(set(problems(**variables))) == expected
