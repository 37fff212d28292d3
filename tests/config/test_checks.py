"""What follows from whole settings: examples, names, warnings, files."""

from pathlib import Path

import pytest

from config import (
    ConfigError,
    Secret,
    Settings,
    check_files,
    effective_names,
    load,
    load_dns,
    load_hub,
    read_password,
    warnings,
)
from config.docs import ROOT

HUB_EXAMPLE = ROOT / "config" / "examples" / "hub.toml"
DNS_EXAMPLE = ROOT / "config" / "examples" / "dns.toml"
OTHERS = {HUB_EXAMPLE, DNS_EXAMPLE}
EXAMPLES = sorted(set((ROOT / "config" / "examples").glob("*.toml")) - OTHERS)


def settings(**overrides: object) -> Settings:
    """Give settings; a double underscore in a name stands for the dot of its key."""
    given = {name.replace("__", "."): value for name, value in overrides.items()}
    return load(None, {}, {"primary.url": "https://r.example:5000", "store.root": ".", **given})


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_examples_load(path: Path) -> None:
    """Every example loads without problem or warning, its files being elsewhere or not."""
    assert warnings(load(path, {}, {})) == ()


def test_the_hubs_example_loads() -> None:
    """The hub's example loads without problem."""
    assert load_hub(HUB_EXAMPLE, {}, {}).primary.id == "registry-fra"


def test_the_dns_process_example_loads() -> None:
    """So does that of the process beside a DNS server."""
    assert load_dns(DNS_EXAMPLE, {}, {}).zone.domain == "registry.example.com"


def test_there_is_an_example_for_each_kind_of_deployment() -> None:
    """The examples are those the docs speak of."""
    assert [path.stem for path in EXAMPLES] == ["minimal", "region", "token-realm"]


@pytest.mark.parametrize(
    ("registry", "names"),
    [
        ("127.0.0.1:5001", ("r.example", "127.0.0.1", "localhost")),
        ("127.0.0.1:5001,[::1]:5001", ("r.example", "127.0.0.1", "localhost", "[::1]")),
        ("10.0.0.9:443,[fd00::9]:443", ("r.example", "10.0.0.9", "[fd00::9]")),
        ("0.0.0.0:443,[::]:443", ("r.example", "127.0.0.1", "localhost", "[::1]")),
    ],
)
def test_names_are_derived(registry: str, names: tuple[str, ...]) -> None:
    """Without names: the primary's host, the addresses listened on, localhost for loopback."""
    assert effective_names(settings(listen__registry=registry)) == names


def test_configured_names_replace_derived_ones() -> None:
    """Where names are configured, no other host is answered."""
    assert effective_names(settings(listen__names="Mirror.example:5001")) == (
        "mirror.example:5001",
    )


def test_defaults_give_no_warning() -> None:
    """A first run has nothing to be warned of."""
    assert warnings(settings()) == ()


def test_checks_that_never_go_behind_an_answer_are_a_warning() -> None:
    """Times that leave nothing to `tags.verify_every` are said, not refused."""
    (line,) = warnings(settings(tags__verify_every="10m", tags__idle_verify="5m"))
    assert line.startswith("tags.idle_verify: ")
    assert warnings(settings(tags__verify_every="10m", tags__idle_verify="10m")) == ()


@pytest.mark.parametrize("ops", ["0.0.0.0:9100", "[::]:9100", "10.0.0.9:9100"])
def test_public_ops_listener_is_a_warning(ops: str) -> None:
    """An ops listener that others can reach is said, not refused."""
    (line,) = warnings(settings(listen__ops=ops))
    assert line.startswith(f"listen.ops: {ops} ")


@pytest.mark.parametrize(("mode", "count"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)])
def test_open_password_file_is_a_warning(tmp_path: Path, mode: int, count: int) -> None:
    """A password file that others may read is said, not refused."""
    path = tmp_path / "password"
    path.write_text("hunter2")
    path.chmod(mode)
    lines = warnings(settings(primary__username="u", primary__password_file=path))
    assert len(lines) == count
    assert all(str(path) in line and "hunter2" not in line for line in lines)


def test_files_that_are_there_pass(tmp_path: Path) -> None:
    """Readable files, and a store that can be made in a folder that is there, are no problem."""
    for name in ("chain", "key"):
        (tmp_path / name).touch()
    paths = {"tls__certificate": tmp_path / "chain", "tls__key": tmp_path / "key"}
    assert check_files(settings(**paths, store__root=tmp_path / "a" / "b")) == ()


def test_every_missing_file_is_a_problem(tmp_path: Path) -> None:
    """Each file that isn't there, isn't a file, and a store below a file are named at once."""
    (tmp_path / "file").touch()
    found = check_files(
        settings(
            tls__certificate=tmp_path / "absent",
            tls__key=tmp_path,
            primary__ca_file=tmp_path / "file" / "x",
            primary__username="u",
            primary__password_file=tmp_path / "absent",
            store__root=tmp_path / "file" / "store",
        )
    )
    assert [problem.key for problem in found] == [
        "tls.certificate",
        "tls.key",
        "primary.ca_file",
        "primary.password_file",
        "store.root",
    ]


def test_password_comes_from_variable_or_file(tmp_path: Path) -> None:
    """The password is the variable's text, or the file's without the end of its line, or none."""
    path = tmp_path / "password"
    path.write_text(" hunter2 \r\n")
    with_file = settings(primary__username="u", primary__password_file=path)
    environ = {"PROXIMA_PRIMARY__PASSWORD": "s3cret"}
    overrides = {"primary.url": "http://a", "store.root": ".", "primary.username": "u"}
    assert read_password(settings()) is None
    assert read_password(with_file) == Secret(" hunter2 ")
    assert read_password(load(None, environ, overrides)) == Secret("s3cret")


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_unusable_password_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A password file that is absent, empty or no text stops with its name."""
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^primary\.password_file: expected .*password"):
        read_password(settings(primary__username="u", primary__password_file=path))


def test_dump_of_settings_hides_the_password() -> None:
    """Printed settings show that there is a password, not which."""
    environ = {"PROXIMA_PRIMARY__PASSWORD": "hunter2", "PROXIMA_PRIMARY__USERNAME": "u"}
    loaded = load(None, environ, {"primary.url": "http://a", "store.root": "."})
    assert "password=***" in repr(loaded)
    assert "hunter2" not in repr(loaded)
