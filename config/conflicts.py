"""Settings that don't go together, decided from what was given, whether or not it could be read."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from config.declare import Key
from config.problems import Problem, shown
from config.sources import Given
from config.values import host_of, parse_address, parse_origin


def conflicts(given: Mapping[Key, Given]) -> Iterator[Problem]:
    """Give a problem for each pair of values that contradict or need each other."""
    yield from _needs(given, "tls.certificate", "tls.key")
    yield from _needs(given, "tls.key", "tls.certificate")
    yield from _needs(given, "primary.password", "primary.username")
    yield from _needs(given, "primary.password_file", "primary.username")
    yield from _needs(given, "primary.username", "primary.password_file", "primary.password")
    if _has(given, "primary.password") and _has(given, "primary.password_file"):
        yield Problem("primary.password", "either it or primary.password_file", "both")
    if _has(given, "tls.certificate") and _raw(given, "listen.public_scheme") == "http":
        expected = '"https" or nothing, since tls.certificate is set'
        yield Problem("listen.public_scheme", expected, '"http"')

    yield from _source_conflicts(given)
    if _raw(given, "listen.proxy_protocol") is True and not _raw(given, "access.trusted_proxies"):
        expected = "one network or more, since listen.proxy_protocol is set"
        yield Problem("access.trusted_proxies", expected, "nothing")


def _source_conflicts(given: Mapping[Key, Given]) -> Iterator[Problem]:
    """Give the problems of who tells of pushes."""
    source = _raw(given, "replication.source")
    if source == "hub":
        yield from _needs(given, "replication.source", "replication.hub_url")
        yield from _needs(given, "replication.source", "replication.token_file")
        yield from _open_hub(given, "replication.hub_url")
    if source == "notifications":
        yield from _needs(given, "replication.source", "listen.notifications")
        yield from _needs(given, "replication.source", "receiving.secret_file", "receiving.secret")
    elif _has(given, "listen.notifications"):
        expected = '"notifications", since listen.notifications is set'
        yield Problem(
            "replication.source", expected, "nothing" if source is None else shown(source)
        )
    for key in ("receiving.secret", "receiving.next_secret"):
        if _has(given, key) and _has(given, f"{key}_file"):
            yield Problem(key, f"either it or {key}_file", "both")
    if not _has(given, "tls.certificate"):
        yield from _open_addresses(given, "listen.notifications")


def _open_hub(given: Mapping[Key, Given], key: str) -> Iterator[Problem]:
    """Give a problem if the token would cross the network to the hub as text."""
    raw = _raw(given, key)
    try:
        url = parse_origin(str(raw))
    except ValueError:
        return
    if url.startswith("http://") and not _is_here(host_of(url)):
        expected = "https, or http of this machine, since others could read the token on the way"
        yield Problem(key, expected, shown(raw))


def _is_here(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _needs(given: Mapping[Key, Given], key: str, *others: str) -> Iterator[Problem]:
    """Give a problem if *key* is there without any of the *others*."""
    if _has(given, key) and not any(_has(given, other) for other in others):
        yield Problem(others[0], f"a value, since {key} is set", "nothing")


def _has(given: Mapping[Key, Given], key: str) -> bool:
    return _raw(given, key) not in (None, "")


def _raw(given: Mapping[Key, Given], key: str) -> object:
    each = given.get(tuple(key.split(".")))
    return each.raw if each else None


_HUB_SECRETS = (
    "receiving.secret",
    "receiving.next_secret",
    "admin.token",
    "admin.next_token",
    "sentinel.password",
    "geo.token",
    "geo.next_token",
    "geo.canary_password",
)


def hub_conflicts(given: Mapping[Key, Given]) -> Iterator[Problem]:
    """Give the same of a hub's settings."""
    yield from _needs(given, "tls.certificate", "tls.key")
    yield from _needs(given, "tls.key", "tls.certificate")
    for key in _HUB_SECRETS:
        if _has(given, key) and _has(given, f"{key}_file"):
            yield Problem(key, f"either it or {key}_file", "both")
    for key in ("receiving.secret", "admin.token"):
        if not _has(given, key) and not _has(given, f"{key}_file"):
            yield Problem(f"{key}_file", "a file with a secret", "nothing")
    yield from _needs(given, "sentinel.username", "sentinel.password_file", "sentinel.password")
    yield from _needs(given, "sentinel.username", "sentinel.repository")
    yield from _needs(
        given, "geo.canary_username", "geo.canary_password_file", "geo.canary_password"
    )
    yield from _needs(given, "geo.canary_username", "geo.canary")
    if not _has(given, "tls.certificate"):
        yield from _open_addresses(given, "listen.api")


def dns_conflicts(given: Mapping[Key, Given]) -> Iterator[Problem]:
    """Give the same of the process beside a DNS server."""
    yield from _open_hub(given, "hub.url")
    yield from _strange_addresses(given, "listen.backend")
    if not _has(given, "zone.nameservers"):
        yield Problem("zone.nameservers", "the names of one server or more", "nothing")


def _strange_addresses(given: Mapping[Key, Given], key: str) -> Iterator[Problem]:
    """Give a problem if others reach a listener that knows no credentials."""
    raw = _raw(given, key)
    try:
        is_loopback = raw is None or parse_address(str(raw)).ip.is_loopback
    except ValueError:
        return
    if not is_loopback:
        yield Problem(key, "a loopback address, since it asks for no credentials", shown(raw))


def _open_addresses(given: Mapping[Key, Given], key: str) -> Iterator[Problem]:
    """Give a problem for each address that others reach: tokens would cross the network as text."""
    addresses = _raw(given, key)
    for raw in addresses if isinstance(addresses, list | tuple) else ():
        try:
            is_loopback = parse_address(str(raw)).ip.is_loopback
        except ValueError:
            continue
        if not is_loopback:
            expected = "loopback addresses, or tls.certificate and tls.key"
            yield Problem(key, expected, shown(raw))
