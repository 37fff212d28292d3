"""Settings from file, environment and flags."""

from collections.abc import Mapping
from dataclasses import asdict
from ipaddress import ip_network
from pathlib import Path

import pytest

from config import Address, ConfigError, Secret, Setting, Settings, TagPolicy, load, settings_of
from config.declare import Origin

REQUIRED: Mapping[str, object] = {"primary.url": "http://127.0.0.1:5000", "store.root": "data"}
EVERYTHING = {setting.key: setting for setting in settings_of(Settings)}

# The text of a variable, and the value it gives, none of them the default.
SAMPLES: dict[str, tuple[str, object]] = {
    "region": ("eu-frankfurt", "eu-frankfurt"),
    "listen.registry": (
        "0.0.0.0:443, [::]:443",
        (Address("0.0.0.0", 443), Address("::", 443)),
    ),
    "listen.ops": ("[::1]:0", Address("::1", 0)),
    "listen.notifications": ("127.0.0.1:8443", (Address("127.0.0.1", 8443),)),
    "listen.proxy_protocol": ("true", True),
    "listen.names": ("Registry.Example.com,[::1]:5001", ("registry.example.com", "[::1]:5001")),
    "listen.public_scheme": ("https", "https"),
    "listen.backlog": ("128", 128),
    "listen.header_timeout": ("250ms", 0.25),
    "listen.idle_timeout": ("2m", 120.0),
    "listen.write_timeout": ("90s", 90.0),
    "listen.drain_limit": ("0s", 0.0),
    "listen.other_paths": ("redirect", "redirect"),
    "listen.max_connections": ("20", 20),
    "tls.certificate": ("/tls/chain.pem", Path("/tls/chain.pem")),
    "tls.key": ("/tls/key.pem", Path("/tls/key.pem")),
    "tls.reread": ("1s", 1.0),
    "primary.url": ("https://registry.example.com:443/", "https://registry.example.com"),
    "primary.connect_to": ("10.0.12.5:443", (Address("10.0.12.5", 443),)),
    "primary.nameservers": ("10.0.0.2,fd00::2", ("10.0.0.2", "fd00::2")),
    "primary.ca_file": ("/tls/ca.pem", Path("/tls/ca.pem")),
    "primary.username": ("reader", "reader"),
    "primary.password_file": ("/run/password", Path("/run/password")),
    "primary.password": ("hunter2", Secret("hunter2")),
    "primary.trusted_origins": ("https://auth.example.com", ("https://auth.example.com",)),
    "primary.storage_origins": ("https://s3.example.com", ("https://s3.example.com",)),
    "primary.location_prefixes": ("/uploads/,/a/b/", ("/uploads/", "/a/b/")),
    "primary.connect_timeout": ("500ms", 0.5),
    "primary.read_timeout": ("10s", 10.0),
    "primary.minimum_rate": ("0", 0),
    "primary.rate_window": ("5s", 5.0),
    "primary.max_connections": ("8", 8),
    "store.root": ("/var/lib/proxima", Path("/var/lib/proxima")),
    "store.capacity": ("2TiB", 2**41),
    "store.min_free": ("50GiB", 50 * 2**30),
    "store.tee_budget": ("500GB", 500 * 10**9),
    "store.manifest_cache": ("1MiB", 2**20),
    "store.scrub_within": ("168h", 604_800.0),
    "fill.max_concurrent": ("1", 1),
    "fill.max_orphans": ("0", 0),
    "fill.connections": ("4", 4),
    "fill.max_uncached": ("3", 3),
    "fill.unverified_ranges": ("false", False),
    "fill.tail": ("8KiB", 8192),
    "access.ttl": ("30s", 30.0),
    "access.outage_grace": ("0s", 0.0),
    "access.token_lifetime": ("60s", 60.0),
    "access.networks": ("10.1.0.0/16", (ip_network("10.1.0.0/16"),)),
    "access.trusted_proxies": (
        "10.0.0.0/8,fd00::/8,10.1.2.3",
        (ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("10.1.2.3/32")),
    ),
    "access.max_decisions": ("5000", 5000),
    "tags.ttl": ("0s", 0.0),
    "tags.stale_limit": ("48h", 172_800.0),
    "replication.source": ("notifications", "notifications"),
    "receiving.secret_file": ("/run/secret", Path("/run/secret")),
    "receiving.secret": ("a-long-secret", Secret("a-long-secret")),
    "receiving.next_secret_file": ("/run/next", Path("/run/next")),
    "receiving.next_secret": ("another-secret", Secret("another-secret")),
    "receiving.header": ("X-Secret", "X-Secret"),
    "receiving.signature_window": ("1m", 60.0),
    "receiving.max_body": ("64KiB", 65_536),
    "receiving.max_parked": ("10", 10),
    "receiving.max_parked_size": ("1MiB", 2**20),
    "replication.hub_url": ("https://hub.internal:8443", "https://hub.internal:8443"),
    "replication.token_file": ("/run/join-token", Path("/run/join-token")),
    "replication.ca_file": ("/tls/hub.pem", Path("/tls/hub.pem")),
    "replication.repositories": ("team/**,shop/*", ("team/**", "shop/*")),
    "replication.tags": ("release-*", ("release-*",)),
    "replication.platforms": ("linux/amd64,linux/arm64/v8", ("linux/amd64", "linux/arm64/v8")),
    "replication.bandwidth": ("1Gbit", 125_000_000),
    "replication.concurrent": ("4", 4),
    "replication.parts": ("5", 5),
    "replication.give_up": ("1h", 3600.0),
    "replication.keep_log": ("24h", 86_400.0),
    "tags.verify_every": ("30s", 30.0),
    "tags.idle_verify": ("5m", 300.0),
    "replication.backfill": ("newest", "newest"),
    "replication.backfill_newest": ("3", 3),
    "replication.reconcile_every": ("10m", 600.0),
    "replication.reconcile_rate": ("5", 5),
    "replication.watch": ("team/app,shop/api", ("team/app", "shop/api")),
    "replication.allow_mass_delete": ("true", True),
    "log.level": ("debug", "debug"),
}
# What must come along for a setting to be complete.
COMPANIONS = {
    "listen.notifications": ["replication.source", "receiving.secret"],
    "replication.source": ["listen.notifications", "receiving.secret"],
    "listen.proxy_protocol": ["access.trusted_proxies"],
    "tls.certificate": ["tls.key"],
    "tls.key": ["tls.certificate"],
    "primary.username": ["primary.password"],
    "primary.password": ["primary.username"],
    "primary.password_file": ["primary.username"],
}


def problems(
    tmp_path: Path,
    toml: str = "",
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] = REQUIRED,
) -> list[str]:
    """Give the lines of the error, the path of the file cut to its name."""
    path = tmp_path / "proxima.toml"
    path.write_text(toml)
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {}, overrides)
    lines = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    assert len(lines) == len(caught.value.problems)
    return lines


def value_of(settings: Settings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("setting", EVERYTHING.values(), ids=EVERYTHING.keys())
def test_every_setting_has_a_variable(setting: Setting) -> None:
    """Each setting, except lists of tables, can be set by its environment variable."""
    if Origin.ENVIRONMENT not in setting.rule.origins:
        assert setting.rule.table
        return
    keys = [setting.key, *COMPANIONS.get(setting.key, [])]
    environ = {EVERYTHING[key].variable: SAMPLES[key][0] for key in keys}
    overrides = {key: value for key, value in REQUIRED.items() if key != setting.key}
    assert value_of(load(None, environ, overrides), setting.key) == SAMPLES[setting.key][1]
    if not setting.rule.is_required:
        default = value_of(load(None, {}, REQUIRED), setting.key)
        assert default != SAMPLES[setting.key][1], "the sample shows nothing"


def test_flag_beats_variable_beats_file(tmp_path: Path) -> None:
    """A flag goes before a variable, a variable before the file, the file before the default."""
    path = tmp_path / "proxima.toml"
    path.write_text("[fill]\nmax_concurrent = 1\nmax_orphans = 1\nmax_uncached = 1\n")
    environ = {"PROXIMA_FILL__MAX_ORPHANS": "2", "PROXIMA_FILL__MAX_UNCACHED": "2", "PATH": "/bin"}
    fill = load(path, environ, {**REQUIRED, "fill.max_uncached": 3, "log.level": None}).fill
    assert (fill.max_concurrent, fill.max_orphans, fill.max_uncached) == (1, 2, 3)


def test_flags_are_texts_or_values() -> None:
    """A flag's value may be a text as in a variable, a list of them, or a path."""
    one = load(None, {}, {**REQUIRED, "listen.registry": "127.0.0.1:0,[::1]:0"})
    two = load(None, {}, {**REQUIRED, "listen.registry": ["127.0.0.1:0", "[::1]:0"]})
    three = load(None, {}, {**REQUIRED, "store.root": Path("elsewhere")})
    assert one == two
    assert three.store.root == Path("elsewhere")


def test_policies_keep_their_order(tmp_path: Path) -> None:
    """Tag policies come from the file, in the order they have there."""
    path = tmp_path / "proxima.toml"
    path.write_text(
        '[[tags.policies]]\nrepositories = "release/**"\ntags = "v*"\nfreshness = "never"\n'
        '[[tags.policies]]\nrepositories = "**"\n[listen]\n'
    )
    assert [asdict(policy) for policy in load(path, {}, REQUIRED).tags.policies] == [
        {"repositories": "release/**", "tags": "v*", "freshness": "never"},
        {"repositories": "**", "tags": "*", "freshness": "event"},
    ]
    assert TagPolicy(repositories="**").tags == "*"


BAD_FILE = """
regoin = "x"
store = "data"
region = "a b"
[listen]
registry = []
ops = 9100
names = ["a/b", "ok.example.com"]
public_scheme = "ftp"
backlog = 0
header_timeout = 10
idle_timeout = "75"
drain_limit = "2h"
max_connections = true
[primary]
url = "https://me:hunter2@registry.example.com/v2/?token=hunter2"
connect_to = ["10.0.0.5:443", "foo", "10.0.0.5:0"]
nameservers = "10.0.0.2"
ca_file = ""
password = "hunter2"
location_prefixes = ["/", "uploads/", "/../x/"]
pasword_file = "/run/hunter2"
[fill]
unverified_ranges = "no"
tail = 1
[access]
networks = ["10.0.0.0/8", "::ffff:10.0.0.0/104"]
trusted_proxies = ["10.0.0.1/8"]
token_lifetime = "59s"
[[tags.policies]]
repositories = "/a"
freshness = "sometimes"
[[tags.policies]]
tag = "v*"
[logs]
level = "info"
[empty]
"""
BAD = """\
region: expected a name like "ap-singapore", found "a b" (proxima.toml)
listen.registry: expected a list of 1 or more, each an address like "127.0.0.1:5001", \
found an empty list (proxima.toml)
listen.ops: expected an address like "127.0.0.1:5001", found 9100 (proxima.toml)
listen.names[0]: expected a host like "registry.example.com", found "a/b" (proxima.toml)
listen.public_scheme: expected "", "http" or "https", found "ftp" (proxima.toml)
listen.backlog: expected an integer, 1 to 65535, found 0 (proxima.toml)
listen.header_timeout: expected a duration like "60s", 100ms to 10m, found 10 (proxima.toml)
listen.idle_timeout: expected a duration like "60s", 100ms to 1h, found "75" (proxima.toml)
listen.drain_limit: expected a duration like "60s", 0s to 1h, found "2h" (proxima.toml)
listen.max_connections: expected an integer, 1 to 1000000, found true (proxima.toml)
primary.url: expected a URL like "https://registry.example.com", http or https, without user, \
path or query, found "https://***@registry.example.com/v2/?***" (proxima.toml)
primary.connect_to[1]: expected an address like "10.0.0.5:443", found "foo" (proxima.toml)
primary.connect_to[2]: expected an address like "10.0.0.5:443", found "10.0.0.5:0" (proxima.toml)
primary.nameservers: expected a list, each an IP address like "10.0.0.2", found "10.0.0.2" \
(proxima.toml)
primary.ca_file: expected a path like "/etc/proxima/file", found "" (proxima.toml)
primary.password: expected the variable PROXIMA_PRIMARY__PASSWORD or a file named by \
primary.password_file, nowhere else (proxima.toml)
primary.location_prefixes[0]: expected a path prefix like "/uploads/", found "/" (proxima.toml)
primary.location_prefixes[1]: expected a path prefix like "/uploads/", found "uploads/" \
(proxima.toml)
primary.location_prefixes[2]: expected a path prefix like "/uploads/", found "/../x/" (proxima.toml)
store.root: expected a path like "/var/lib/proxima" (set root under [store], --store or \
PROXIMA_STORE__ROOT), found nothing
fill.unverified_ranges: expected true or false, found "no" (proxima.toml)
fill.tail: expected a size like "64MiB", 1KiB to 16MiB, found 1 (proxima.toml)
access.token_lifetime: expected a duration like "60s", 60s to 1h, found "59s" (proxima.toml)
access.networks[1]: expected a network like "10.0.0.0/8", found "::ffff:10.0.0.0/104" (proxima.toml)
access.trusted_proxies[0]: expected a network like "10.0.0.0/8", found "10.0.0.1/8" (proxima.toml)
tags.policies[0].repositories: expected a repository pattern like "team/**", found "/a" \
(proxima.toml)
tags.policies[0].freshness: expected "event", "ttl", "always" or "never", found "sometimes" \
(proxima.toml)
tags.policies[1].repositories: expected a repository pattern like "team/**", found nothing
tags.policies[1].tag: expected a known key; did you mean "tags.policies[1].tags"? (proxima.toml)
regoin: expected a known key; did you mean "region"? (proxima.toml)
store: expected a table, [store], found "data" (proxima.toml)
primary.pasword_file: expected a known key; did you mean "primary.password_file"? (proxima.toml)
logs.level: expected a known key; did you mean "log.level"? (proxima.toml)
empty: expected a known key (proxima.toml)
primary.username: expected a value, since primary.password is set, found nothing
"""


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Every problem of a file has its line, with key, what was expected, and what was found."""
    assert problems(tmp_path, BAD_FILE, overrides={}) == BAD.splitlines()


BAD_ENVIRON = {
    "PROXIMA_LISTEN__BACKLOG": "many",
    "PROXIMA_FILL__UNVERIFIED_RANGES": "yes",
    "PROXIMA_PRIMARY_PASSWORD": "hunter2",
    "PROXIMA_PRIMARY__PASSWORD": "",
    "PROXIMA_log__level": "info",
    "PROXIMA_TAGS__POLICIES": "**",
}
BAD_OVERRIDES = {"primary.url": "r", "store.root": "x", "primary.username": "a:b", "x.y": 1}
BAD_PLACES = """\
listen.backlog: expected an integer, 1 to 65535, found "many" (PROXIMA_LISTEN__BACKLOG)
primary.url: expected a URL like "https://registry.example.com", http or https, without user, \
path or query, found "r" (--primary)
primary.username: expected a user name like "replica-reader", found "a:b" (command line)
primary.password: expected a secret, not empty, found "" (PROXIMA_PRIMARY__PASSWORD)
fill.unverified_ranges: expected true or false, found "yes" (PROXIMA_FILL__UNVERIFIED_RANGES)
tags.policies: expected [[tags.policies]] tables in the settings file, nowhere else \
(PROXIMA_TAGS__POLICIES)
PROXIMA_PRIMARY_PASSWORD: expected a known variable; did you mean "PROXIMA_PRIMARY__PASSWORD"? \
(environment)
PROXIMA_log__level: expected a known variable (environment)
x.y: expected a known key (command line)
primary.password_file: expected a value, since primary.username is set, found nothing
"""


def test_problems_of_variables_and_flags(tmp_path: Path) -> None:
    """A problem names the variable or flag that the value came from."""
    lines = problems(tmp_path, environ=BAD_ENVIRON, overrides=BAD_OVERRIDES)
    assert lines == BAD_PLACES.splitlines()


def test_what_is_missing_and_how_to_set_it() -> None:
    """Without any settings each required one is named, with its TOML key, flag and variable."""
    with pytest.raises(ConfigError) as caught:
        load(None, {}, {})
    assert [problem.key for problem in caught.value.problems] == ["primary.url", "store.root"]
    for problem, ways in zip(
        caught.value.problems,
        [
            ["url under [primary]", "--primary", "PROXIMA_PRIMARY__URL"],
            ["root under [store]", "--store", "PROXIMA_STORE__ROOT"],
        ],
        strict=True,
    ):
        assert all(way in str(problem) for way in ways)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PROXIMA_TLS__KEY": "k"}, ["tls.certificate: expected a value, since tls.key is set"]),
        ({"PROXIMA_TLS__CERTIFICATE": "c"}, ["tls.key: expected a value, since tls.cert"]),
        ({"PROXIMA_PRIMARY__PASSWORD": "p"}, ["primary.username: expected a value, since"]),
        ({"PROXIMA_PRIMARY__USERNAME": "u"}, ["primary.password_file: expected a value, since"]),
        (
            {
                "PROXIMA_PRIMARY__USERNAME": "u",
                "PROXIMA_PRIMARY__PASSWORD": "p",
                "PROXIMA_PRIMARY__PASSWORD_FILE": "f",
            },
            ["primary.password: expected either it or primary.password_file, found both"],
        ),
        (
            {
                "PROXIMA_TLS__KEY": "k",
                "PROXIMA_TLS__CERTIFICATE": "c",
                "PROXIMA_LISTEN__PUBLIC_SCHEME": "http",
            },
            ['listen.public_scheme: expected "https" or nothing, since tls.certificate is set'],
        ),
        (
            {"PROXIMA_LISTEN__PROXY_PROTOCOL": "true"},
            ["access.trusted_proxies: expected one network or more, since listen.proxy_protocol"],
        ),
    ],
)
def test_conflicts(tmp_path: Path, environ: Mapping[str, str], expected: list[str]) -> None:
    """Settings that need or contradict each other are problems, each of them once."""
    lines = problems(tmp_path, environ=environ)
    assert len(lines) == len(expected)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))


HUB = {**REQUIRED, "replication.source": "hub", "replication.token_file": "t"}


@pytest.mark.parametrize(
    "url",
    [
        "http://hub.internal:8443",
        "HTTP://HUB.internal",
        "http://10.0.0.5:8080",
        "http://0.0.0.0:8080",
        "http://[fd00::5]:8080",
        "http://localhost.example:8080",
        "http://127.0.0.1.example",
    ],
)
def test_the_join_token_crosses_no_network_as_text(tmp_path: Path, url: str) -> None:
    """A hub that is asked over http on another machine is a problem, which says why."""
    (line,) = problems(tmp_path, overrides={**HUB, "replication.hub_url": url})
    assert line == (
        "replication.hub_url: expected https, or http of this machine, since others could read the "
        f'token on the way, found "{url}"'
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://hub.internal:8443",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://[::1]:8080",
        "http://localhost:8080",
    ],
)
def test_the_join_token_may_stay_on_this_machine(url: str) -> None:
    """A hub is asked over https, or on this machine."""
    assert load(None, {}, {**HUB, "replication.hub_url": url}).replication.hub_url == url


@pytest.mark.parametrize(
    ("toml", "where"),
    [
        ("[listen]\nbacklog = = 1\n", "at line 2, column 11"),
        ("[listen]\nregistry = [", "at line 2, column 13"),
        ("region = 'a'\nregion = 'b'\n", "at line 2, column 13"),
    ],
)
def test_syntax_error_has_line_and_column(tmp_path: Path, toml: str, where: str) -> None:
    """A file that isn't TOML is one problem, with the place where reading stopped."""
    (line,) = problems(tmp_path, toml)
    assert line.startswith("proxima.toml: expected TOML, found ")
    assert where in line


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """A file that is absent, a folder or not UTF-8 is named with the reason."""
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'region = "\xe9"')
    for path, reason in {
        tmp_path / "absent.toml": "a readable file, found No such file or directory",
        tmp_path: "a readable file, found Is a directory",
        latin: "TOML, found a byte that isn't UTF-8 at offset 10",
    }.items():
        with pytest.raises(ConfigError) as caught:
            load(path, {}, REQUIRED)
        assert str(caught.value) == f"{path}: expected {reason}"


def test_no_error_shows_a_secret(tmp_path: Path) -> None:
    """No line about a password, a misspelt one or a URL with one shows it."""
    environ = {"PROXIMA_PRIMARY_PASSWORD": "hunter2", "PROXIMA_PRIMARY__PASSWORD": "hunter2"}
    assert "hunter2" not in "\n".join(problems(tmp_path, BAD_FILE, environ))


def test_variables_of_kubernetes_services_are_ignored() -> None:
    """What Kubernetes sets for services called proxima and proxima-hub isn't taken for settings."""
    ports = ["PORT", "PORT_443_TCP", "PORT_443_TCP_PROTO", "PORT_443_TCP_PORT", "PORT_443_TCP_ADDR"]
    names = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTPS", *ports]
    environ = {f"PROXIMA_{service}{name}": "x" for service in ("", "HUB_") for name in names}
    assert load(None, environ, REQUIRED) == load(None, {}, REQUIRED)


def test_found_values_are_short_and_escaped(tmp_path: Path) -> None:
    """A value in a problem stays on its line and is cut."""
    (line,) = problems(tmp_path, environ={"PROXIMA_REGION": "a\n\x1b" + "b" * 1000})
    assert line.startswith('region: expected a name like "ap-singapore", found "a\\n\\u001bbbb')
    assert len(line) < 200
