"""The hub's secrets, and whether the files its settings name are there."""

from dataclasses import dataclass
from pathlib import Path

from config.checks import read_text, unreadable, unwritable
from config.hub import HubSettings
from config.problems import ConfigError, Problem
from config.secrets import read_secrets, sender_rows
from config.values import Secret


@dataclass(frozen=True, slots=True)
class HubSecrets:
    """What is shown to the hub: the one in use first, then the one of a rotation."""

    senders: tuple[Secret, ...]
    operators: tuple[Secret, ...]
    dns_servers: tuple[Secret, ...] = ()


def hub_secrets(settings: HubSettings) -> HubSecrets:
    """Give the hub's secrets. Raises: ConfigError: with every one that is missing or weak."""
    admin, geo = settings.admin, settings.geo
    problems: list[Problem] = []
    senders = read_secrets(sender_rows(settings.receiving), problems)
    rows = (
        ("admin.token", admin.token_file, admin.token),
        ("admin.next_token", admin.next_token_file, admin.next_token),
    )
    operators = read_secrets(rows, problems)
    of_dns = (
        ("geo.token", geo.token_file, geo.token),
        ("geo.next_token", geo.next_token_file, geo.next_token),
    )
    dns_servers = read_secrets(of_dns, problems)
    if problems:
        raise ConfigError(problems)
    return HubSecrets(senders, operators, dns_servers)


def check_hub(settings: HubSettings) -> tuple[Problem, ...]:
    """Give a problem for each secret that could be guessed, and each file that can't be read."""
    files = {
        "tls.certificate": settings.tls.certificate,
        "tls.key": settings.tls.key,
        "primary.ca_file": settings.primary.ca_file,
        "geo.catalogue": settings.geo.catalogue,
        "geo.database": settings.geo.database,
        "geo.ca_file": settings.geo.ca_file,
    }
    problems = [found for key, path in files.items() if path and (found := unreadable(key, path))]
    folder = Path(settings.database.url.removeprefix("sqlite:///")).parent
    if found := unwritable("database.url", folder):
        problems.append(found)
    for read in (hub_secrets, read_sentinel_password, read_canary_password):
        try:
            read(settings)
        except ConfigError as exc:
            problems += exc.problems
    return tuple(problems)


def read_sentinel_password(settings: HubSettings) -> Secret | None:
    """Give the password with which the hub pushes; None if there is none. Raises: ConfigError."""
    path = settings.sentinel.password_file
    return read_text("sentinel.password_file", path) if path else settings.sentinel.password


def read_canary_password(settings: HubSettings) -> Secret | None:
    """Give the password with which the hub pulls its canary; None: none. Raises: ConfigError."""
    geo = settings.geo
    path = geo.canary_password_file
    return read_text("geo.canary_password_file", path) if path else geo.canary_password
