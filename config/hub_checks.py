"""The hub's secrets, and whether the files its settings name are there."""

from dataclasses import dataclass
from pathlib import Path

from config.checks import read_text, unreadable, unwritable
from config.hub import HubSettings
from config.problems import ConfigError, Problem
from config.values import Secret

LEAST_SECRET_CHARACTERS = 16
LEAST_DIFFERENT_CHARACTERS = 6
_SECRET_EXPECTED = f"a random text of {LEAST_SECRET_CHARACTERS} characters or more"
_DEFAULTS = (
    "changeme",
    "change-me",
    "change_me",
    "password",
    "secret",
    "default",
    "example",
)


@dataclass(frozen=True, slots=True)
class HubSecrets:
    """What senders and operators show: the one in use first, then the one of a rotation."""

    senders: tuple[Secret, ...]
    operators: tuple[Secret, ...]


def hub_secrets(settings: HubSettings) -> HubSecrets:
    """Give the hub's secrets. Raises: ConfigError: with every one that is missing or weak."""
    receiving, admin = settings.receiving, settings.admin
    problems: list[Problem] = []

    def read(key: str, path: Path | None, given: Secret | None) -> tuple[Secret, ...]:
        try:
            found = _read_secret(key, path, given)
        except ConfigError as exc:
            problems.extend(exc.problems)
            return ()
        return (found,) if found else ()

    senders = read("receiving.secret", receiving.secret_file, receiving.secret)
    senders += read("receiving.next_secret", receiving.next_secret_file, receiving.next_secret)
    operators = read("admin.token", admin.token_file, admin.token)
    operators += read("admin.next_token", admin.next_token_file, admin.next_token)
    if problems:
        raise ConfigError(problems)
    return HubSecrets(senders, operators)


def check_hub(settings: HubSettings) -> tuple[Problem, ...]:
    """Give a problem for each secret that could be guessed, and each file that can't be read."""
    files = {
        "tls.certificate": settings.tls.certificate,
        "tls.key": settings.tls.key,
        "primary.ca_file": settings.primary.ca_file,
    }
    problems = [found for key, path in files.items() if path and (found := unreadable(key, path))]
    folder = Path(settings.database.url.removeprefix("sqlite:///")).parent
    if found := unwritable("database.url", folder):
        problems.append(found)
    for read in (hub_secrets, read_sentinel_password):
        try:
            read(settings)
        except ConfigError as exc:
            problems += exc.problems
    return tuple(problems)


def read_sentinel_password(settings: HubSettings) -> Secret | None:
    """Give the password with which the hub pushes; None if there is none. Raises: ConfigError."""
    path = settings.sentinel.password_file
    return read_text("sentinel.password_file", path) if path else settings.sentinel.password


def _read_secret(key: str, path: Path | None, given: Secret | None) -> Secret | None:
    """Give a secret of the hub: of *path*, the file of setting *key*, or *given*; None: neither.

    Raises: ConfigError: the file can't be read, or what it says could be guessed.
    """
    if path is not None:
        given = read_text(f"{key}_file", path)
    if given is not None and (fault := _weakness(given.reveal())):
        raise ConfigError([Problem(key, f"{_SECRET_EXPECTED} ({fault})")])
    return given


def _weakness(text: str) -> str:
    """Say why a text is no secret; empty: nothing speaks against it."""
    if len(text) < LEAST_SECRET_CHARACTERS:
        return f"it has {len(text)} characters"
    if not text.isascii() or not text.isprintable() or " " in text:
        return "a header can't hold it"
    if len(set(text)) < LEAST_DIFFERENT_CHARACTERS:
        return "few of its characters differ"
    if any(word in text.lower() for word in _DEFAULTS):
        return "it is an example or a default"
    return ""
