"""Examples for the description: one region with one linked network, and one of its clients."""

from typing import Any

from hub.api.examples import DIGEST, REGION, REPLICA

CLIENT = "10.9.3.4"
WISH = {"region": REGION, "network": "10.9.0.0/16"}
LINKED: dict[str, Any] = {**WISH, "linked_at": 1_790_000_000.0}
VIEW: dict[str, Any] = {
    "name": REGION,
    "number": 9,
    "host": "sg.registry.example.com",
    "addresses": ["203.0.113.5", "2001:db8::5"],
    "networks": ["10.1.0.0/16"],
    "linked": ["10.9.0.0/16"],
    "weight": 1,
    "standing": "up",
    "health": {
        "is_up": True,
        "since": None,
        "checks": [
            {
                "what": "canary",
                "address": "203.0.113.5",
                "ok": True,
                "error": "",
                "at": 1_790_000_010.0,
                "seconds": 0.184,
            }
        ],
        "excused": False,
    },
    "is_drained": False,
    "replica": REPLICA,
    "state": "Running",
    "lag_seconds": 0.0,
    "load": {"connections": 212, "bytes_per_second": 48_000_000.0},
}
DRAINED = {**VIEW, "standing": "drained", "is_drained": True}
GEO: dict[str, Any] = {
    "revision": "5d3f0e6c1a9b4f27a8c2d4e6f8091a3b",
    "domain": "registry.example.com",
    "ttl_seconds": 10.0,
    "spread": 3,
    "catalogue": {
        "default": REGION,
        "regions": {
            REGION: {
                "addresses": ["203.0.113.5", "2001:db8::5"],
                "host": "sg.registry.example.com",
                "networks": ["10.1.0.0/16"],
                "weight": 1,
                "number": 9,
                "coordinates": [1.35, 103.82],
            }
        },
    },
    "standings": {REGION: "up"},
    "linked": {REGION: ["10.9.0.0/16"]},
}
EXPLAINED: dict[str, Any] = {
    "repository": "shop/api",
    "reference": "1.4.2",
    "digest": DIGEST,
    "client": CLIENT,
    "by": "network",
    "network": "10.9.0.0/16",
    "place": None,
    "reason": "network 10.9.0.0/16",
    "answer": {
        "name": "registry.example.com",
        "region": REGION,
        "ttl_seconds": 10.0,
        "addresses": ["203.0.113.5", "2001:db8::5"],
    },
    "regions": [
        {
            "region": REGION,
            "distance_km": 0.0,
            "standing": "up",
            "may_enter": True,
            "is_primary": False,
            "replica": REPLICA,
            "state": "Running",
            "lag_seconds": 0.0,
            "entry": "complete",
            "is_complete": True,
        }
    ],
}
