"""WWW-Authenticate: the primary's challenges read, ours written.

Source: RFC 9110, 11.6.1 (several challenges, several header lines, quoted strings with escapes);
the token spec of the distribution project for `realm`, `service`, `scope` and `error`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from proxy.oci.request import Action


class Scheme(StrEnum):
    """How a registry wants to be spoken to."""

    OPEN = "open"
    BASIC = "basic"
    BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge with the parameters that matter to us; OPEN is the absence of one.

    `error` says what was wrong with what was presented; it is no part of how one authenticates.
    """

    scheme: Scheme
    realm: str = ""
    service: str = ""
    error: str = field(default="", compare=False)


OPEN = Challenge(Scheme.OPEN)
ERRORS = frozenset({"invalid_request", "invalid_token", "insufficient_scope"})
"""RFC 6750, 3.1."""


@dataclass(frozen=True, slots=True)
class Scope:
    """`type:name:actions` of the token spec, e.g. `repository:team/app:pull,push`."""

    kind: str
    name: str
    actions: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def parse(cls, text: str) -> "Scope | None":
        """Read one scope; None for what isn't of that form."""
        kind, _, rest = text.partition(":")
        name, _, actions = rest.rpartition(":")
        if not kind or not name:
            return None
        return cls(kind, name, frozenset(filter(None, actions.split(","))))

    @property
    def is_pull_only(self) -> bool:
        """Say whether this asks for nothing but to pull from a repository."""
        return self.kind == "repository" and self.actions == {Action.PULL}

    def __str__(self) -> str:
        order = {"pull": 0, "push": 1, "delete": 2}
        actions = sorted(self.actions, key=lambda action: (order.get(action, 9), action))
        return f"{self.kind}:{self.name}:{','.join(actions)}"


def repository_scope(name: str, action: Action) -> Scope:
    """Give the scope that an action in a repository needs; to push includes to pull."""
    actions = {action, Action.PULL} if action is Action.PUSH else {action}
    return Scope("repository", name, frozenset(map(str, actions)))


CATALOGUE_SCOPE = Scope("registry", "catalog", frozenset({"*"}))
"""What the list of repositories needs (token spec, "Resource type": `registry`)."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETER = re.compile(
    r"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))"""
)
_TOKEN68 = re.compile(r"[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|\Z)")
_SEPARATOR = re.compile(r"[ \t,]*")


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Give the Basic and Bearer challenges of some WWW-Authenticate lines, in their order.

    Anything that can't be read ends its line: what came before it counts.
    """
    return tuple(challenge for header in headers for challenge in _in_line(header))


def _in_line(header: str) -> Iterator[Challenge]:
    position = _SEPARATOR.match(header, 0).end()  # type: ignore[union-attr]  # matches always
    while scheme := _TOKEN.match(header, position):
        after = (_TOKEN68.match(header, scheme.end()) or scheme).end()
        parameters, position = _parameters(header, _SEPARATOR.match(header, after).end())  # type: ignore[union-attr]
        name = scheme.group().lower()
        if name in (Scheme.BASIC, Scheme.BEARER):
            realm, service = parameters.get("realm", ""), parameters.get("service", "")
            error = parameters.get("error", "")
            yield Challenge(Scheme(name), realm, service, error if error in ERRORS else "")


def _parameters(header: str, position: int) -> tuple[dict[str, str], int]:
    parameters: dict[str, str] = {}
    while match := _PARAMETER.match(header, position):
        name, quoted, plain = match.groups()
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        parameters.setdefault(name.lower(), value)
        position = _SEPARATOR.match(header, match.end()).end()  # type: ignore[union-attr]
    return parameters, position


def bearer_header(realm: str, service: str, scopes: Iterable[Scope] = (), error: str = "") -> str:
    """Write a Bearer challenge."""
    parts = {"realm": realm, "service": service, "scope": " ".join(map(str, scopes))}
    parts["error"] = error
    return "Bearer " + ",".join(f'{key}="{_quoted(text)}"' for key, text in parts.items() if text)


def basic_header(realm: str) -> str:
    """Write a Basic challenge."""
    return f'Basic realm="{_quoted(realm)}"'


def _quoted(text: str) -> str:
    return re.sub(r'([\\"])', r"\\\1", re.sub(r"[\x00-\x1f\x7f]", "", text))
