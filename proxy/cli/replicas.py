"""`proxima replicas`: the replica instances that a hub knows."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxy.cli.columns import NOTHING, as_duration, as_size, as_table
from proxy.cli.hub_access import hub_url, with_hub
from proxy.net.hub_client import HubClient

Document = dict[str, Any]
HEAD = ("ID", "REGION", "STATE", "LAG", "QUEUE", "BEHIND", "READY IN", "SEEN")


def create(arguments: argparse.Namespace, _runner: object) -> int:
    """Make one; its token is shown this once."""
    if arguments.write_token is not None and arguments.write_token.exists():
        print(f"proxima: {arguments.write_token} is there already", file=sys.stderr)
        return 2

    def work(client: HubClient) -> int:
        created = client.ask("POST", "/v1/replicas", _wanted(arguments))
        if arguments.write_token is not None:
            _write_token(arguments.write_token, created.pop("token"))
        print(json.dumps(created) if arguments.json else _as_created(created, arguments))
        return 0

    return with_hub(arguments, work)


def show_all(arguments: argparse.Namespace, _runner: object) -> int:
    """Print all of them."""

    def work(client: HubClient) -> int:
        replicas = client.ask("GET", "/v1/replicas")["replicas"]
        if arguments.json:
            print(json.dumps(replicas, indent=2))
        else:
            print(as_table(HEAD, [_cells(each) for each in replicas]) if replicas else "none")
        return 0

    return with_hub(arguments, work)


def show(arguments: argparse.Namespace, _runner: object) -> int:
    """Print one."""

    def work(client: HubClient) -> int:
        replica = client.ask("GET", _path(arguments.id))
        print(json.dumps(replica, indent=2) if arguments.json else _as_text(replica))
        return 0

    return with_hub(arguments, work)


def delete(arguments: argparse.Namespace, _runner: object) -> int:
    """Delete one, once it is sure that it is meant."""
    if not arguments.yes and not _is_meant(arguments.id):
        print("proxima: nothing was deleted", file=sys.stderr)
        return 2

    def work(client: HubClient) -> int:
        replica = client.ask("DELETE", _path(arguments.id))
        print(json.dumps(replica) if arguments.json else f"{replica['id']}  {replica['state']}")
        return 0

    return with_hub(arguments, work)


def _wanted(arguments: argparse.Namespace) -> Document:
    """Give what is asked for; what isn't said is as the hub's settings have it."""
    names = ("repositories", "platforms", "backfill")
    pairs = ((name, getattr(arguments, name)) for name in names)
    replication = {name: value for name, value in pairs if value is not None}
    return {"region": arguments.region, **({"replication": replication} if replication else {})}


def _path(replica_id: str) -> str:
    return f"/v1/replicas/{quote(replica_id, safe='')}"


def _is_meant(replica_id: str) -> bool:
    """Ask whoever sits at a terminal; --yes is for the others."""
    if not sys.stdin.isatty():
        print("proxima: --yes is needed where nobody can be asked", file=sys.stderr)
        return False
    return input(f"Delete {replica_id}? Type its id: ").strip() == replica_id


def _write_token(path: Path, token: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{token}\n")


def _as_created(created: Document, arguments: argparse.Namespace) -> str:
    place = arguments.write_token or "TOKEN_FILE"
    lines = [f"{created['id']}  {created['region']}"]
    if "token" in created:
        lines.append(f"token, shown this once: {created['token']}")
    join = f"--join {hub_url(arguments)} --token-file {place} --store FOLDER"
    lines.append(f"on the replica: proxima replica {join}")
    return "\n".join(lines)


def _cells(replica: Document) -> tuple[str, ...]:
    status = replica["status"] or {}
    return (
        replica["id"],
        replica["region"],
        replica["state"],
        as_duration(replica["lag_seconds"]),
        str(status.get("queue", NOTHING)),
        as_size(status["bytes_behind"]) if status else NOTHING,
        as_duration(status.get("eta_seconds")),
        _ago(replica["reported_at"]),
    )


def _as_text(replica: Document) -> str:
    rows = dict(zip(HEAD, _cells(replica), strict=True))
    status = replica["status"] or {}
    copied = replica["replication"]
    rows["COPIES"] = f"{', '.join(copied['repositories'])} : {', '.join(copied['tags'])}"
    rows["PLATFORMS"] = ", ".join(copied["platforms"]) or "all"
    if progress := status.get("backfill"):
        rows["BACKFILL"] = (
            f"{progress['done']} of {progress['total']}, "
            f"{as_size(progress['bytes_done'])} of {as_size(progress['bytes_total'])}"
        )
    if load := status.get("load"):
        rows["LOAD"] = f"{load['connections']} clients, {as_size(load['bytes_per_second'])}/s"
    if status:
        rows["VERSION"] = status["version"] or NOTHING
        rows["CURSOR"] = status["cursor"] or NOTHING
    width = max(map(len, rows))
    return "\n".join(f"{name.lower():<{width}}  {value}" for name, value in rows.items())


def _ago(instant: float | None) -> str:
    return "never" if instant is None else f"{as_duration(max(0.0, time.time() - instant))} ago"
