"""From file, environment and flags to `Settings`, with every problem reported at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from config.conflicts import conflicts, dns_conflicts, hub_conflicts
from config.declare import Key, Origin, Rule, Setting, prefix_of, sections_of, settings_of
from config.dns import DnsSettings
from config.hub import HubSettings
from config.problems import ConfigError, Problem, shown, unknown
from config.settings import Settings
from config.sources import Given, from_environ, from_file, from_flags, from_hub

T = TypeVar("T")
Report = list[Problem]
"""Problems found so far; what reads adds to it and goes on."""
Conflicts = Callable[[Mapping[Key, Given]], Iterator[Problem]]


def load(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
    below: Mapping[str, object] | None = None,
) -> Settings:
    """Give a replica's settings of a TOML file, overlaid by PROXIMA_ variables, overlaid by flags.

    Shape:  overrides are by dotted key, {"primary.url": "http://..."}; a text is read as that of a
            variable, None means not given. So is *below*, what a hub says, over which all go.
    Raises: ConfigError: with all problems; a file that can't be read or parsed is reported alone.
    """
    return _load(Settings, conflicts, path, environ, overrides, below)


def given_value(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object], key: str
) -> object:
    """Give what is given for one setting of a replica, unread; None: nothing is.

    Raises: ConfigError: the file can't be read or parsed.
    """
    given = _given(Settings, path, environ, overrides)
    found = given.get(tuple(key.split(".")))
    return None if found is None else found.raw


def load_hub(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> HubSettings:
    """Give the hub's settings, as `load` does; its variables begin with PROXIMA_HUB_."""
    return _load(HubSettings, hub_conflicts, path, environ, overrides)


def load_dns(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> DnsSettings:
    """Give those of the process beside a DNS server; its variables begin with PROXIMA_DNS_."""
    return _load(DnsSettings, dns_conflicts, path, environ, overrides)


def _load(
    table: type[T],
    conflicts_of: Conflicts,
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
    below: Mapping[str, object] | None = None,
) -> T:
    given = from_hub(below or {}, settings_of(table))
    given |= _given(table, path, environ, overrides)
    report: Report = []
    settings = _read_table(table, (), given, report)
    report += conflicts_of(given)
    if settings is None or report:
        raise ConfigError(report)
    return settings


def _given(
    table: type[Any],
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
) -> dict[Key, Given]:
    declared = tuple(settings_of(table))
    given = from_file(path) if path else {}
    given |= from_environ(environ, declared, prefix_of(table))
    return given | from_flags(overrides, declared)


def _read_table(table: type[T], path: Key, given: Mapping[Key, Given], report: Report) -> T | None:
    """Give the table at *path*, or None after reporting what is wrong with it."""
    declared = tuple(settings_of(table, path))
    values: dict[Key, object] = {}
    found: Report = []
    for each in declared:
        if each.path in given:
            values[each.path] = _read(each, given[each.path], found)
        elif each.rule.is_required:
            found.append(_missing(each))
    found += _strangers(table, declared, given)
    report += found
    return None if found else _construct(table, path, values)


def _construct(table: type[T], path: Key, values: Mapping[Key, object]) -> T:
    """Give the table with the values at hand; its defaults are the rest."""
    own = {key[-1]: value for key, value in values.items() if key[:-1] == path}
    for name, inner in sections_of(table).items():
        own[name] = _construct(inner, (*path, name), values)
    return table(**own)


def _read(setting: Setting, given: Given, report: Report) -> object:
    rule = setting.rule
    if given.origin not in rule.origins:
        report.append(_misplaced(setting, given))
        return None
    if rule.is_list:
        return _read_list(setting, given, report)
    return _read_value(rule, setting.path, given, report)


def _read_list(setting: Setting, given: Given, report: Report) -> tuple[object, ...]:
    rule, raw = setting.rule, given.raw
    if not isinstance(raw, list | tuple) or len(raw) < rule.at_least:
        size = f" of {rule.at_least} or more" if rule.at_least else ""
        expected = f"a list{size}, each {rule.kind.expected}"
        report.append(Problem(setting.key, expected, shown(raw), given.source))
        return ()
    *section, name = setting.path
    return tuple(
        _read_value(rule, (*section, f"{name}[{index}]"), replace(given, raw=item), report)
        for index, item in enumerate(raw)
    )


def _read_value(rule: Rule, path: Key, given: Given, report: Report) -> object:
    try:
        value = rule.kind.read(given.raw)
    except (TypeError, ValueError):
        key = ".".join(path)
        report.append(Problem(key, rule.kind.expected, shown(given.raw), given.source))
        return None
    if rule.table is None:
        return value
    inner = {(*path, name): replace(given, raw=raw) for name, raw in value.items()}
    return _read_table(rule.table, path, inner, report)


def _missing(setting: Setting) -> Problem:
    """Give what is missing and, for what a first run needs, every way to set it."""
    kind, flag = setting.rule.kind, setting.rule.flag
    if not flag:
        return Problem(setting.key, kind.expected, "nothing")
    section, name = setting.path
    how = f"set {name} under [{section}], {flag} or {setting.variable}"
    return Problem(setting.key, f"{kind.expected} ({how})", "nothing")


def _misplaced(setting: Setting, given: Given) -> Problem:
    if Origin.FILE in setting.rule.origins:
        where = f"[[{setting.key}]] tables in the settings file"
    else:
        where = f"the variable {setting.variable} or a file named by {setting.key}_file"
    return Problem(setting.key, f"{where}, nowhere else", source=given.source)


def _strangers(
    table: type[Any], declared: Sequence[Setting], given: Mapping[Key, Given]
) -> Iterator[Problem]:
    """Give a problem for each key and variable that nothing declares."""
    known = {setting.path for setting in declared}
    sections = sections_of(table)
    for path, each in given.items():
        name = ".".join(path)
        if path in known or (name in sections and each.raw == {}):
            continue
        if name in sections:
            yield Problem(name, f"a table, [{name}]", shown(each.raw), each.source)
        elif each.origin is Origin.ENVIRONMENT:
            variables = [setting.variable for setting in declared]
            yield unknown(name, variables, "a known variable", "environment")
        else:
            yield unknown(name, [setting.key for setting in declared], "a known key", each.source)
