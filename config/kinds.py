"""The kinds of values a setting may have: how each is read, named in the docs and asked for."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Generic, TypeVar

from config.values import (
    Address,
    ByteSize,
    BytesPerSecond,
    Duration,
    Network,
    Secret,
    parse_address,
    parse_duration,
    parse_host,
    parse_network,
    parse_origin,
    parse_rate,
    parse_size,
)

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
REPOSITORY = rf"{_COMPONENT}(?:/{_COMPONENT})*"
"""The names of repositories, as a regular expression (distribution-spec)."""

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


def _same(text: str) -> object:
    return text


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of value.

    Shape:  noun is what the docs call it, empty where limits say all; example is a value as TOML
            writes it; limits are in words; from_text turns text into what TOML would hold.
    Raises: TypeError, ValueError: from read, for a raw value not of this kind or out of its limits.
    """

    noun: str
    read: Callable[[object], T]
    example: str = ""
    limits: str = ""
    from_text: Callable[[str], object] = _same

    @property
    def expected(self) -> str:
        """Give what a problem asks for: 'a duration like "60s", 1s to 10m'."""
        article = "an" if self.noun[:1] in "aeioI" else "a"
        example = f" like {self.example}" if self.example else ""
        return _joined(self.noun and f"{article} {self.noun}{example}", self.limits)

    @property
    def described(self) -> str:
        """Give what the docs say: 'duration, 1s to 10m'."""
        return _joined(self.noun, self.limits)


def duration(minimum: str, maximum: str) -> Kind[Duration]:
    low, high = parse_duration(minimum), parse_duration(maximum)

    def read(raw: object) -> Duration:
        return _within(low, parse_duration(_text(raw)), high)

    return Kind("duration", read, '"60s"', f"{minimum} to {maximum}")


def size(minimum: str, maximum: str, noun: str = "size") -> Kind[ByteSize]:
    low, high = parse_size(minimum), parse_size(maximum)

    def read(raw: object) -> ByteSize:
        value = parse_size(raw) if isinstance(raw, str) else ByteSize(_integer(raw))
        return _within(low, value, high)

    return Kind(noun, read, '"64MiB"', f"{minimum} to {maximum}")


def rate(minimum: str, maximum: str) -> Kind[BytesPerSecond]:
    low, high = parse_rate(minimum), parse_rate(maximum)

    def read(raw: object) -> BytesPerSecond:
        value = parse_rate(raw) if isinstance(raw, str) else BytesPerSecond(_integer(raw))
        return _within(low, value, high)

    return Kind("rate", read, '"1Gbit"', f"{minimum} to {maximum}")


def integer(minimum: int, maximum: int) -> Kind[int]:
    def read(raw: object) -> int:
        return _within(minimum, _integer(raw), maximum)

    return Kind("integer", read, limits=f"{minimum} to {maximum}", from_text=_integer_text)


def boolean() -> Kind[bool]:
    def read(raw: object) -> bool:
        if not isinstance(raw, bool):
            raise TypeError(raw)
        return raw

    return Kind("", read, limits="true or false", from_text=_boolean_text)


def choice(options: type[E]) -> Kind[E]:
    quoted = [f'"{option.value}"' for option in options]

    def read(raw: object) -> E:
        return options(_text(raw))

    return Kind("", read, limits=f"{', '.join(quoted[:-1])} or {quoted[-1]}")


def text(pattern: str, noun: str, example: str) -> Kind[str]:
    """Give the kind of texts that match the regular expression as a whole."""
    compiled = re.compile(pattern)

    def read(raw: object) -> str:
        if not compiled.fullmatch(value := _text(raw)):
            raise ValueError(value)
        return value

    return Kind(noun, read, f'"{example}"')


def user_name(example: str) -> Kind[str]:
    """Give the kind of user names: what Basic authentication can carry; empty: nobody."""
    return text(r"[^:\x00-\x1f\x7f]*", "user name", example)


def path(example: str = "/etc/proxima/file") -> Kind[Path]:
    def read(raw: object) -> Path:
        value = _text(raw)
        if not value or "\0" in value:
            raise ValueError(value)
        return Path(value)

    return Kind("path", read, f'"{example}"')


def listen_address() -> Kind[Address]:
    return Kind("address", lambda raw: parse_address(_text(raw)), '"127.0.0.1:5001"')


def peer_address() -> Kind[Address]:
    def read(raw: object) -> Address:
        address = parse_address(_text(raw))
        _within(1, address.port, 65_535)
        return address

    return Kind("address", read, '"10.0.0.5:443"')


def ip() -> Kind[str]:
    return Kind("IP address", lambda raw: str(ip_address(_text(raw))), '"10.0.0.2"')


def network() -> Kind[Network]:
    return Kind("network", lambda raw: parse_network(_text(raw)), '"10.0.0.0/8"')


def host() -> Kind[str]:
    return Kind("host", lambda raw: parse_host(_text(raw)), '"registry.example.com"')


def url() -> Kind[str]:
    return Kind(
        "URL",
        lambda raw: parse_origin(_text(raw)),
        '"https://registry.example.com"',
        "http or https, without user, path or query",
    )


def origin() -> Kind[str]:
    return Kind("origin", lambda raw: parse_origin(_text(raw)), '"https://auth.example.com"')


def hidden() -> Kind[Secret]:
    def read(raw: object) -> Secret:
        if not (value := _text(raw)):
            raise ValueError("empty")
        return Secret(value)

    return Kind("secret", read, limits="not empty")


def raw_table() -> Kind[dict[str, object]]:
    def read(raw: object) -> dict[str, object]:
        if not isinstance(raw, dict):
            raise TypeError(raw)
        return raw

    return Kind("table", read)


Comparable = TypeVar("Comparable", Duration, ByteSize, BytesPerSecond, int)


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _within(low: Comparable, value: Comparable, high: Comparable) -> Comparable:
    if not low <= value <= high:
        raise ValueError(value)
    return value


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError(raw)
    return raw


def _integer(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise TypeError(raw)
    return raw


def _integer_text(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        return text


def _boolean_text(text: str) -> object:
    return {"true": True, "false": False}.get(text, text)
