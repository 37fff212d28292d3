"""What is said about a route."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hub.errors import (
    Denied,
    HubError,
    Invalid,
    NotFound,
    TooLarge,
    Unauthorized,
    Unavailable,
)

JSON = "application/json"


class Who(StrEnum):
    """Whose credential a request shows; the names of OpenAPI's security schemes."""

    SENDER = "sender"
    REPLICA = "replica"
    OPERATOR = "operator"
    DNS_SERVER = "dnsServer"
    ANYBODY = "anybody"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that isn't an error. form: None: it has no body, or not JSON."""

    status: int
    about: str
    form: type[Any] | None = None
    media_type: str = JSON
    example: object = None


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent. form: None: whatever the sender sends."""

    form: type[Any] | None
    example: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A route: what it is for, who may ask, what is sent, what is answered.

    errors: beside those that `all_errors` adds.
    path:   examples of the variables in its path, by name.
    """

    name: str
    summary: str
    who: Who
    answers: tuple[Answer, ...]
    body: Body | None = None
    query: type[Any] | None = None
    query_example: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[type[HubError], ...] = ()

    def all_errors(self) -> tuple[type[HubError], ...]:
        """Give everything that may be answered instead."""
        found: list[type[HubError]] = list(self.errors)
        if self.who is Who.ANYBODY:
            return tuple(found)
        found += [Unauthorized, Unavailable]
        if self.who is Who.REPLICA:
            found.append(Denied)
        if self.body is not None:
            found += [Invalid, TooLarge]
        if self.query is not None:
            found.append(Invalid)
        if self.path:
            found.append(NotFound)
        return tuple(dict.fromkeys(found))
