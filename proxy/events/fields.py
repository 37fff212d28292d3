"""Fields of foreign JSON, as values.

Two kinds: what an event is about (repository, tag, digest) has to be right or is refused; what
describes it (names, sizes, types, times) is taken where it makes sense and left out otherwise.
Text that comes out is printable and bounded, so that it may go into logs and onto terminals.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from proxy.oci.digest import Digest
from proxy.oci.errors import RegistryError
from proxy.oci.reference import Repository, Tag

JsonObject = Mapping[str, object]

MAX_TEXT_CHARACTERS = 255
MAX_ID_CHARACTERS = 128
MAX_REASON_CHARACTERS = 200
MAX_SIZE_BYTES = 2**63 - 1
_QUOTED_CHARACTERS = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotUnderstood(ValueError):
    """A message, or one entry of it, isn't in any form we know. The reason is bounded."""

    def __init__(self, reason: str) -> None:
        self.reason = clean(reason, MAX_REASON_CHARACTERS)
        super().__init__(self.reason)


def clean(value: str, limit: int = MAX_TEXT_CHARACTERS) -> str:
    """Give *value*, cut, with a question mark for whatever can't be printed."""
    cut = value[:limit]
    return cut if cut.isprintable() else "".join(c if c.isprintable() else "?" for c in cut)


def quoted(value: object) -> str:
    """Give *value* as a reason may show it."""
    if isinstance(value, str):
        return f"“{clean(value, _QUOTED_CHARACTERS)}”"
    return f"a value of type {type(value).__name__}"


def object_of(value: object, what: str) -> JsonObject:
    """Give *value* as a JSON object.

    Raises: NotUnderstood.
    """
    if not isinstance(value, dict):
        raise NotUnderstood(f"{what}: expected an object")
    return value


def object_at(document: JsonObject, key: str) -> JsonObject:
    """Give the object under *key*; an empty one where there is none: all its fields are absent."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def list_at(document: JsonObject, key: str) -> list[object]:
    """Give the list under *key*; an empty one where there is none."""
    value = document.get(key)
    return value if isinstance(value, list) else []


def text(document: JsonObject, key: str) -> str:
    """Give descriptive text."""
    value = document.get(key)
    return clean(value) if isinstance(value, str) else ""


def identifier(document: JsonObject, key: str) -> str:
    """Give an id in full, or the hash of one that is too long or odd to be kept."""
    value = document.get(key)
    if not isinstance(value, str):
        return ""
    if len(value) <= MAX_ID_CHARACTERS and value.isprintable():
        return value
    return "sha256-" + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def repository(document: JsonObject, key: str) -> Repository:
    """Give the repository under *key*.

    Raises: NotUnderstood: there is none, or it breaks the spec's grammar.
    """
    value = document.get(key)
    try:
        if isinstance(value, str):
            return Repository.parse(value)
    except RegistryError as exc:
        raise NotUnderstood(f"{key}: {quoted(value)} is no repository name") from exc
    raise NotUnderstood(f"{key}: expected a repository name")


def tag(document: JsonObject, key: str) -> Tag | None:
    """Give the tag under *key*, None where it is absent or empty.

    Raises: NotUnderstood: something else stands there.
    """
    value = document.get(key)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            return Tag.parse(value)
    except RegistryError as exc:
        raise NotUnderstood(f"{key}: {quoted(value)} is no tag") from exc
    raise NotUnderstood(f"{key}: expected a tag, got {quoted(value)}")


def digest(document: JsonObject, key: str) -> Digest | None:
    """Give the digest under *key*, None where it is absent or empty.

    Raises: NotUnderstood: something else stands there.
    """
    value = document.get(key)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            return Digest.parse(value)
    except RegistryError as exc:
        raise NotUnderstood(f"{key}: {quoted(value)} is no digest") from exc
    raise NotUnderstood(f"{key}: expected a digest, got {quoted(value)}")


def size_bytes(document: JsonObject, *keys: str) -> int | None:
    """Give the first of *keys* that holds a size."""
    sizes = (whole_number(document.get(key)) for key in keys)
    return next((size for size in sizes if size is not None), None)


def whole_number(value: object) -> int | None:
    """Give *value* if it is a whole number that a size may be."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SIZE_BYTES:
        return value
    return None


def time(document: JsonObject, key: str, otherwise: datetime) -> datetime:
    """Give the time under *key*: RFC 3339, or seconds since 1970; *otherwise* if it is neither.

    A time before 1970 is what an unset one looks like.
    """
    value = document.get(key)
    try:
        if isinstance(value, str):
            found = instant(value)
        else:
            found = datetime.fromtimestamp(whole_number(value) or 0, UTC)
    except (ValueError, OverflowError, OSError):
        return otherwise
    return found if found > _EPOCH else otherwise


def instant(value: str) -> datetime:
    """Read a date and time; UTC where no zone is given. What is finer than a microsecond is cut.

    Raises: ValueError, OverflowError.
    """
    read = datetime.fromisoformat(value)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
