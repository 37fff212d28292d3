"""The hub's settings: loaded as a replica's are, from variables of their own."""

from pathlib import Path

import pytest

from config import Address, ConfigError, HubSettings, Secret, hub_secrets, load, load_hub
from config.declare import settings_of

GOOD = {
    "PROXIMA_HUB_PRIMARY__URL": "https://r.example:5000",
    "PROXIMA_HUB_DATABASE__URL": "sqlite:////var/lib/proxima-hub/hub.db",
    "PROXIMA_HUB_RECEIVING__SECRET": "6f1ed002ab5595859014ebf0951522d9",
    "PROXIMA_HUB_ADMIN__TOKEN": "0c8f27f4a3de4b7d8f4cbb9a35f3a7de",
}


def problems(**variables: str) -> list[str]:
    """Give the keys of the problems that these variables make of good settings."""
    given = {f"PROXIMA_HUB_{name}": value for name, value in variables.items()}
    try:
        load_hub(None, GOOD | given, {})
    except ConfigError as exc:
        return sorted(problem.key for problem in exc.problems)
    return []


def test_variables_are_the_hubs_own() -> None:
    """Hub and replica may share an environment: neither minds the other's variables."""
    mixed = GOOD | {"PROXIMA_LISTEN__OPS": "127.0.0.1:1", "PROXIMA_HUB_LISTEN__OPS": "127.0.0.1:2"}
    assert load_hub(None, mixed, {}).listen.ops == Address("127.0.0.1", 2)
    flags = {"primary.url": "http://127.0.0.1:5000", "store.root": "data"}
    assert load(None, mixed, flags).listen.ops == Address("127.0.0.1", 1)
    assert all(each.variable.startswith("PROXIMA_HUB_") for each in settings_of(HubSettings))


def test_an_unknown_variable_of_the_hub_is_a_problem() -> None:
    """A misspelt one isn't passed over, nor one that Kubernetes makes taken for one."""
    assert problems(LISTEN__OBS="127.0.0.1:1") == ["PROXIMA_HUB_LISTEN__OBS"]
    assert problems(SERVICE_HOST="10.0.0.1") == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, []),
        ({"LISTEN__API": "0.0.0.0:8443"}, ["listen.api"]),
        ({"LISTEN__API": "127.0.0.1:1,[::1]:1"}, []),
        ({"LISTEN__API": "127.0.0.1:1,10.0.0.1:1,[::]:1"}, ["listen.api", "listen.api"]),
        ({"LISTEN__API": "0.0.0.0:1", "TLS__CERTIFICATE": "c", "TLS__KEY": "k"}, []),
        ({"TLS__CERTIFICATE": "c"}, ["tls.key"]),
        ({"RECEIVING__SECRET": ""}, ["receiving.secret", "receiving.secret_file"]),
        ({"ADMIN__TOKEN_FILE": "f"}, ["admin.token"]),
        ({"ADMIN__NEXT_TOKEN": "x", "ADMIN__NEXT_TOKEN_FILE": "f"}, ["admin.next_token"]),
        (
            {"SENTINEL__USERNAME": "hub"},
            ["sentinel.password_file", "sentinel.repository"],
        ),
        ({"SENTINEL__REPOSITORY": "Proxima"}, ["sentinel.repository"]),
        ({"SUBSCRIPTION__HEARTBEAT": "5s"}, []),
        ({"SUBSCRIPTION__HEARTBEAT": "6s"}, ["subscription.heartbeat"]),
        ({"DATABASE__URL": "hub.db"}, ["database.url"]),
        ({"DATABASE__URL": "sqlite:///hub.db?mode=ro"}, ["database.url"]),
    ],
)
def test_what_does_not_go_together(variables: dict[str, str], expected: list[str]) -> None:
    """Everything that contradicts or lacks something is named at once."""
    assert problems(**variables) == expected


def test_secrets_come_from_files_too(tmp_path: Path) -> None:
    """A file's content counts, less the line's end; the secret of a rotation stands beside it."""
    (tmp_path / "secret").write_text("b9d1cd04f4a94a8d9c8d2b4d7b1f6a03\n")
    given = GOOD | {"PROXIMA_HUB_RECEIVING__NEXT_SECRET_FILE": str(tmp_path / "secret")}
    found = hub_secrets(load_hub(None, given, {}))
    assert [each.reveal() for each in found.senders] == [
        "6f1ed002ab5595859014ebf0951522d9",
        "b9d1cd04f4a94a8d9c8d2b4d7b1f6a03",
    ]
    assert found.operators == (Secret("0c8f27f4a3de4b7d8f4cbb9a35f3a7de"),)
    assert "6f1e" not in repr(found)


def test_all_weak_secrets_are_named_at_once(tmp_path: Path) -> None:
    """Whatever is wrong with the secrets is told together, and without them."""
    given = GOOD | {
        "PROXIMA_HUB_RECEIVING__NEXT_SECRET": "changeme",
        "PROXIMA_HUB_ADMIN__NEXT_TOKEN_FILE": str(tmp_path / "absent"),
    }
    with pytest.raises(ConfigError) as raised:
        hub_secrets(load_hub(None, given, {}))
    keys = [problem.key for problem in raised.value.problems]
    assert keys == ["receiving.next_secret", "admin.next_token_file"]
    assert "changeme" not in str(raised.value)
