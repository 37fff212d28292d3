"""The settings of each program: declared once, loaded from file, environment and flags."""

from config.checks import check_files, read_password, warnings
from config.choices import (
    Backfill,
    Freshness,
    LogLevel,
    OtherPaths,
    PublicScheme,
    ReplicationSource,
)
from config.declare import Setting, settings_of
from config.derived import effective_names
from config.dns import DnsSettings
from config.flags import add_flags, given_flags
from config.hub import HubSettings
from config.hub_checks import (
    HubSecrets,
    check_hub,
    hub_secrets,
    read_canary_password,
    read_sentinel_password,
)
from config.loader import given_value, load, load_dns, load_hub
from config.problems import ConfigError, Problem
from config.reload import Change, change
from config.secrets import sender_secrets
from config.settings import Settings, TagPolicy
from config.values import Address, ByteSize, Duration, Secret, parse_duration, parse_network

__all__ = [
    "Address",
    "Backfill",
    "ByteSize",
    "Change",
    "ConfigError",
    "DnsSettings",
    "Duration",
    "Freshness",
    "HubSecrets",
    "HubSettings",
    "LogLevel",
    "OtherPaths",
    "Problem",
    "PublicScheme",
    "ReplicationSource",
    "Secret",
    "Setting",
    "Settings",
    "TagPolicy",
    "add_flags",
    "change",
    "check_files",
    "check_hub",
    "effective_names",
    "given_flags",
    "given_value",
    "hub_secrets",
    "load",
    "load_dns",
    "load_hub",
    "parse_duration",
    "parse_network",
    "read_canary_password",
    "read_password",
    "read_sentinel_password",
    "sender_secrets",
    "settings_of",
    "warnings",
]
