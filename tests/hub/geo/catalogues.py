"""Catalogues of regions on this machine."""

from collections.abc import Mapping
from pathlib import Path

SINGAPORE, JAKARTA, FRANKFURT = "ap-singapore", "ap-jakarta", "eu-frankfurt"
ADDRESSES = {SINGAPORE: "127.0.0.11", JAKARTA: "127.0.0.12", FRANKFURT: "127.0.0.13"}
NETWORKS = {SINGAPORE: "10.1.0.0/16", JAKARTA: "10.2.0.0/16", FRANKFURT: "10.3.0.0/16"}


def catalogue_text(more: Mapping[str, str] | None = None, *, default: str = SINGAPORE) -> str:
    """Give a catalogue of three regions. more: lines of TOML by region."""
    tables = [f'default = "{default}"']
    for name, address in ADDRESSES.items():
        tables.append(
            f"[regions.{name}]\n"
            f'addresses = ["{address}"]\n'
            f'host = "{name}.registry.example.com"\n'
            f'networks = ["{NETWORKS[name]}"]\n' + (more or {}).get(name, "")
        )
    return "\n".join(tables) + "\n"


def catalogue_file(folder: Path, more: Mapping[str, str] | None = None) -> Path:
    """Write one."""
    path = folder / "regions.toml"
    path.write_text(catalogue_text(more))
    return path
