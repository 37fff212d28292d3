"""Who is where in the world of three regions, and the settings that its programs get."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.accounts import Credentials
from tests.support.toml import Section

DOMAIN = "registry.example.test"
CORE = "10.0.0.10/24"
RESOLVER = "10.0.0.10"
HUB = "10.0.0.10:8443"
HUB_NAMES = ("10.0.0.10", "hub.example.test")
NOWHERE = "10.9.0.50/24"
OPS_PORT = 9100
BEHIND = "127.0.0.1:8443"
"""Where a replica listens that has a front end of its own."""

PROBE_SECONDS = 1.0
TTL_SECONDS = 1.0
PATIENCE_SECONDS = 20.0
"""What a busy machine may take longer than is promised."""

CANARY = "proxima/canary"
CANARY_TAG = "1"
READER = Credentials("reader", "reads for the regions")
USER = Credentials("user", "pulls in every region")


@dataclass(frozen=True, slots=True)
class Place:
    """A region, its replica and its client. front: what stands before the replica, if anything."""

    name: str
    replica: str
    client: str
    networks: tuple[str, ...]
    front: str = ""

    @property
    def label(self) -> str:
        return self.name.rpartition("-")[2]

    @property
    def address(self) -> str:
        return self.replica.partition("/")[0]

    @property
    def host_name(self) -> str:
        return f"{self.label}.{DOMAIN}"


SINGAPORE = Place("ap-singapore", "10.1.0.10/16", "10.1.0.50/16", ("10.1.0.0/16", "10.11.0.0/16"))
JAKARTA = Place("ap-jakarta", "10.2.0.10/16", "10.2.0.50/16", ("10.2.0.0/16",), "tcp")
FRANKFURT = Place("eu-frankfurt", "10.3.0.10/16", "10.3.0.50/16", ("10.3.0.0/16",), "http")
PLACES = (SINGAPORE, JAKARTA, FRANKFURT)
DEFAULT = FRANKFURT
PRIMARY_REGION = "na-siliconvalley"


def catalogue() -> str:
    """Give the catalogue of the regions."""
    lines = [f'default = "{DEFAULT.name}"']
    for place in PLACES:
        lines += [
            f"[regions.{place.name}]",
            f'addresses = ["{place.address}"]',
            f'host = "{place.host_name}"',
            f"networks = {json.dumps(place.networks)}",
            f'ready = "http://{place.address}:{OPS_PORT}/readyz"',
        ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Files:
    """Files that several programs read."""

    folder: Path
    ca_file: Path
    tls: Mapping[str, tuple[Path, Path]]

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def certificate(self, name: str) -> Section:
        certificate, key = self.tls[name]
        return {"certificate": certificate, "key": key}


def hub_sections(files: Files, geo_token: str, probe_seconds: float) -> dict[str, Any]:
    """Give the hub's settings."""
    return {
        "listen": {"api": [HUB], "ops": "127.0.0.1:9101"},
        "tls": files.certificate("hub"),
        "primary": {
            "id": "acme",
            "region": PRIMARY_REGION,
            "url": f"https://{DOMAIN}",
            "connect_to": [f"{RESOLVER}:443"],
            "ca_file": files.ca_file,
        },
        "geo": {
            "catalogue": files.write("catalogue.toml", catalogue()),
            "ttl": f"{TTL_SECONDS:g}s",
            "probe_every": f"{probe_seconds:g}s",
            "reread": "500ms",
            "ca_file": files.ca_file,
            "canary": f"{CANARY}:{CANARY_TAG}",
            "canary_username": READER.username,
            "canary_password_file": files.write("reader", READER.password),
            "token_file": files.write("geo-token", geo_token),
        },
    }


def replica_settings(place: Place, files: Files, store: Path) -> dict[str, Any]:
    """Give what a replica doesn't hear from the hub."""
    listen: dict[str, Any] = {
        "registry": [BEHIND if place.front else "0.0.0.0:443"],
        "ops": f"0.0.0.0:{OPS_PORT}",
        "names": [DOMAIN, place.host_name],
        "drain_limit": "1s",
    }
    settings: dict[str, Any] = {
        "listen": listen,
        "tls": files.certificate(place.name),
        "primary": {
            "connect_to": [f"{RESOLVER}:443"],
            "ca_file": files.ca_file,
            "username": READER.username,
            "password_file": files.folder / "reader",
        },
        "store": {"root": store},
    }
    if place.front:
        settings["access"] = {"trusted_proxies": ["127.0.0.0/8"]}
        listen["proxy_protocol"] = place.front == "tcp"
    return settings


def dns_settings(files: Files, folder: Path) -> dict[str, Any]:
    """Give the settings of the process beside the DNS server."""
    return {
        "hub": {
            "url": f"https://{HUB}",
            "token_file": files.folder / "geo-token",
            "ca_file": files.ca_file,
        },
        "zone": {"domain": DOMAIN, "nameservers": [f"ns1.{DOMAIN}"]},
        "state": {"file": folder / "state.json"},
    }


_DEFAULTS = """\
defaults
  mode %s
  timeout connect 2s
  timeout client 60s
  timeout server 60s
"""
_FRONTS = {
    "tcp": """\
listen registry
  bind {address}:443
  server replica {behind} send-proxy-v2
""",
    "http": """\
listen registry
  bind {address}:443 ssl crt {pem} alpn http/1.1
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  server replica {behind} ssl verify none
""",
}


def front_config(place: Place, files: Files) -> str:
    """Give the configuration of the haproxy before a replica."""
    certificate, key = files.tls[place.name]
    pem = files.write(f"{place.label}.pem", certificate.read_text() + key.read_text())
    listening = _FRONTS[place.front].format(address=place.address, behind=BEHIND, pem=pem)
    return _DEFAULTS % place.front + listening
