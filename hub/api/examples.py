"""Examples for the description: one primary, one replica, one image."""

from typing import Any

DIGEST = "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
EPOCH = "6f1f1c63a0e9d2b4"
REPLICA = "registry-fra-9"
REGION = "ap-singapore"

PRIMARY: dict[str, Any] = {
    "id": "registry-fra",
    "region": "eu-frankfurt",
    "domain": "registry.example.com",
    "url": "https://registry.example.com",
    "trusted_origins": [],
}
REPLICATION: dict[str, Any] = {
    "repositories": ["shop/**"],
    "tags": ["**"],
    "platforms": ["linux/amd64"],
    "bandwidth_bytes": 0,
    "concurrent": 8,
    "backfill": {"policy": "newest", "newest": 10},
}
STATUS: dict[str, Any] = {
    "state": "running",
    "cursor": f"{EPOCH}:1712",
    "lag_seconds": 0.0,
    "queue": 0,
    "bytes_behind": 0,
    "eta_seconds": None,
    "backfill": {"done": 120, "total": 120, "bytes_done": 9_000_000, "bytes_total": 9_000_000},
    "version": "0.1.0",
    "at": 1_790_000_012.5,
    "load": {"connections": 212, "bytes_per_second": 48_000_000.0},
}
VIEW: dict[str, Any] = {
    "id": REPLICA,
    "region": REGION,
    "state": "Running",
    "created_at": 1_790_000_000.0,
    "reported_at": 1_790_000_012.6,
    "draining_at": None,
    "deleted_at": None,
    "lag_seconds": 0.0,
    "replication": REPLICATION,
    "status": STATUS,
}
DRAINING = {**VIEW, "state": "Draining", "draining_at": 1_790_000_020.0}
DELETED = {**DRAINING, "state": "Deleted", "deleted_at": 1_790_000_025.0}
ENTRY: dict[str, Any] = {
    "id": "01J9ZK3V5Q",
    "replica": REPLICA,
    "region": REGION,
    "repository": "shop/api",
    "tag": "1.4.2",
    "digest": DIGEST,
    "what": "image",
    "source": "registry.example.com",
    "destination": REPLICA,
    "trigger": "event",
    "state": "complete",
    "bytes_moved": 1_048_576,
    "bytes_saved": 52_428_800,
    "attempts": 1,
    "started_at": 1_790_000_010.0,
    "ended_at": 1_790_000_011.2,
    "event_at": 1_790_000_009.8,
    "seq": 1712,
    "error": "",
}
ARRIVED: dict[str, Any] = {
    "repository": "shop/api",
    "reference": DIGEST,
    "digest": DIGEST,
    "regions": [
        {
            "region": REGION,
            "replica": REPLICA,
            "state": "Running",
            "entry": "complete",
            "is_complete": True,
        }
    ],
}
NOTIFICATION: dict[str, Any] = {
    "version": 1,
    "event": "manifest.pushed",
    "repository": "shop/api",
    "tag": "1.4.2",
    "digest": DIGEST,
    "source": {"sender": "plain", "id": "build-77", "time": "2026-09-21T14:13:29Z"},
}
