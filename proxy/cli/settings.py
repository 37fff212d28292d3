"""Settings for a verb: file, environment and flags together, problems all at once."""

import argparse
import os
import sys

from config import ConfigError, Settings, given_flags, load, warnings
from proxy.cli.join import NotJoined, settings_of_join


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Give the settings. Raises: ConfigError: with all problems. NotJoined."""
    flags = given_flags(arguments, Settings)
    return load(arguments.config, os.environ, flags, settings_of_join(arguments, flags))


def load_settings(arguments: argparse.Namespace) -> Settings | None:
    """Give the settings; None after printing what is wrong with them."""
    try:
        settings = read_settings(arguments)
    except ConfigError as exc:
        for problem in exc.problems:
            print(f"proxima: {problem}", file=sys.stderr)
        return None
    except NotJoined as exc:
        print(f"proxima: {exc}", file=sys.stderr)
        return None
    for warning in warnings(settings):
        print(f"proxima: warning: {warning}", file=sys.stderr)
    return settings
