"""The flags of settings on a command line: those that a first run needs."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.declare import settings_of


def add_flags(verb: argparse.ArgumentParser, table: type[Any], default: str | None = None) -> None:
    """Add `--config` and the flags of a table's settings."""
    verb.add_argument("--config", type=Path, help="settings file, TOML", default=default)
    for setting in settings_of(table):
        if setting.rule.flag:
            verb.add_argument(
                setting.rule.flag,
                dest=setting.key,
                metavar="VALUE",
                help=setting.rule.doc,
                default=default,
            )


def given_flags(arguments: argparse.Namespace, table: type[Any]) -> Mapping[str, object]:
    """Give what the flags of a table's settings say, by key; None: nothing."""
    return {
        setting.key: getattr(arguments, setting.key)
        for setting in settings_of(table)
        if setting.rule.flag
    }
