"""Settings read again while a service runs: what changes at once, what waits for a restart."""

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from config.declare import Key, settings_of
from config.hub import HubSettings
from config.problems import ConfigError, Problem
from config.settings import Settings

S = TypeVar("S", Settings, HubSettings)


@dataclass(frozen=True, slots=True)
class Change(Generic[S]):
    """What follows from reading again.

    Shape: settings are those that hold from now on; changed and needs_restart are dotted keys.
    """

    settings: S
    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()


def change(running: S, fresh: S) -> Change[S]:
    """Give what becomes of running settings when *fresh* ones were read.

    Raises: ConfigError: what may change now doesn't go with what waits for a restart.
    """
    settings = running
    changed, needs_restart = [], []
    for each in settings_of(type(running)):
        value = _value(fresh, each.path)
        if value == _value(running, each.path):
            continue
        if each.rule.is_reloaded:
            settings = _with(settings, each.path, value)
            changed.append(each.key)
        else:
            needs_restart.append(each.key)
    if isinstance(settings, Settings):
        _check(settings)
    return Change(settings, tuple(changed), tuple(needs_restart))


def _check(settings: Settings) -> None:
    if settings.listen.proxy_protocol and not settings.access.trusted_proxies:
        expected = "one network or more until a restart ends listen.proxy_protocol"
        raise ConfigError([Problem("access.trusted_proxies", expected, "nothing")])


def _value(table: Any, path: Key) -> Any:
    for name in path:
        table = getattr(table, name)
    return table


def _with(table: Any, path: Key, value: object) -> Any:
    """Give a table in which one setting has another value."""
    name, *rest = path
    inner = _with(getattr(table, name), tuple(rest), value) if rest else value
    return replace(table, **{name: inner})
