"""The settings of `proxima replica`: declared once, loaded from file, environment and flags."""

from config.checks import check_files, read_password, warnings
from config.choices import Freshness, LogLevel, OtherPaths, PublicScheme
from config.declare import Setting, settings_of
from config.derived import effective_names
from config.loader import load
from config.problems import ConfigError, Problem
from config.reload import Change, change
from config.settings import Settings, TagPolicy
from config.values import Address, ByteSize, Duration, Secret, parse_duration

__all__ = [
    "Address",
    "ByteSize",
    "Change",
    "ConfigError",
    "Duration",
    "Freshness",
    "LogLevel",
    "OtherPaths",
    "Problem",
    "PublicScheme",
    "Secret",
    "Setting",
    "Settings",
    "TagPolicy",
    "change",
    "check_files",
    "effective_names",
    "load",
    "parse_duration",
    "read_password",
    "settings_of",
    "warnings",
]
