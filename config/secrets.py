"""Secrets that senders and operators show: read, and refused where they could be guessed."""

from collections.abc import Iterable
from pathlib import Path

from config.checks import read_text
from config.problems import ConfigError, Problem
from config.receiving import ReceivingSettings
from config.values import Secret

Row = tuple[str, Path | None, Secret | None]

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


def read_secret(key: str, path: Path | None, given: Secret | None) -> Secret | None:
    """Give a secret: of *path*, the file of setting *key*, or *given*; None: neither.

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


def read_secrets(rows: Iterable[Row], problems: list[Problem]) -> tuple[Secret, ...]:
    """Give those of *rows*, key, file and text, that there are; note what is wrong with others."""
    found: list[Secret] = []
    for key, path, given in rows:
        try:
            secret = read_secret(key, path, given)
        except ConfigError as exc:
            problems += exc.problems
        else:
            found += [secret] if secret is not None else []
    return tuple(found)


def sender_rows(receiving: ReceivingSettings) -> tuple[Row, Row]:
    """Give where the secrets of senders are, that of a rotation last."""
    return (
        ("receiving.secret", receiving.secret_file, receiving.secret),
        ("receiving.next_secret", receiving.next_secret_file, receiving.next_secret),
    )


def sender_secrets(receiving: ReceivingSettings) -> tuple[Secret, ...]:
    """Give the secrets of senders. Raises: ConfigError: with every one that is missing or weak."""
    problems: list[Problem] = []
    found = read_secrets(sender_rows(receiving), problems)
    if problems:
        raise ConfigError(problems)
    return found
