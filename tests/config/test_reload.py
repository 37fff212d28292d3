"""Reading settings again: which changes hold at once, which wait for a restart."""

from dataclasses import fields, is_dataclass

import pytest

from config import ConfigError, Setting, Settings, change, load, settings_of
from config.docs import page
from config.reload import _value, _with

EVERYTHING = tuple(settings_of(Settings))
REQUIRED = {"primary.url": "http://127.0.0.1:1", "store.root": "/store"}
RUNNING = load(None, {}, REQUIRED)


@pytest.mark.parametrize("setting", EVERYTHING, ids=[each.key for each in EVERYTHING])
def test_a_changed_setting_holds_or_is_named(setting: Setting) -> None:
    """Each setting by itself: taken over where it is declared so, else named and left alone."""
    new = object()
    made = change(RUNNING, _with(RUNNING, setting.path, new))
    if setting.rule.is_reloaded:
        assert (made.changed, made.needs_restart) == ((setting.key,), ())
        assert _value(made.settings, setting.path) is new
        assert _with(made.settings, setting.path, _value(RUNNING, setting.path)) == RUNNING
    else:
        assert (made.changed, made.needs_restart) == ((), (setting.key,))
        assert made.settings == RUNNING


def test_nothing_new_changes_nothing() -> None:
    """The same settings read again are no change."""
    made = change(RUNNING, load(None, {}, REQUIRED))
    assert (made.settings, made.changed, made.needs_restart) == (RUNNING, (), ())


def test_a_setting_that_waits_goes_on_waiting() -> None:
    """What needs a restart is named at every reload, until there was one or it is changed back."""
    fresh = _with(RUNNING, ("listen", "backlog"), 7)
    first = change(RUNNING, fresh)
    assert change(first.settings, fresh).needs_restart == ("listen.backlog",)
    assert change(first.settings, RUNNING).needs_restart == ()


def test_front_ends_stay_trusted_while_they_are_needed() -> None:
    """Trust in front ends doesn't end before the PROXY protocol does, which takes a restart."""
    environ = {
        "PROXIMA_LISTEN__PROXY_PROTOCOL": "true",
        "PROXIMA_ACCESS__TRUSTED_PROXIES": "10.0.0.0/8",
    }
    with pytest.raises(ConfigError, match=r"access\.trusted_proxies: .* until a restart"):
        change(load(None, environ, REQUIRED), RUNNING)


@pytest.mark.parametrize("setting", EVERYTHING, ids=[each.key for each in EVERYTHING])
def test_the_docs_say_what_takes_a_change_up(setting: Setting) -> None:
    """Each row of the settings table ends with SIGHUP or restart, as is declared."""
    rows = [line for line in page().splitlines() if f"| {setting.rule.doc} |" in line]
    takes = "SIGHUP" if setting.rule.is_reloaded else "restart"
    assert len([row for row in rows if row.endswith(f"| {takes} |")]) == len(rows) == 1


def test_every_setting_is_compared() -> None:
    """No field of the settings is beside the list that is gone through."""
    leaves = {each.path for each in EVERYTHING}
    for name in (each.name for each in fields(Settings)):
        section = getattr(RUNNING, name)
        inner = [each.name for each in fields(section)] if is_dataclass(section) else []
        assert leaves >= ({(name, each) for each in inner} if inner else {(name,)})
