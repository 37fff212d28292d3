"""`proxima dns check`: what a DNS server answers from the viewpoint of every region."""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from geo.location import DatabaseUnusable, Locations
from geo.nearness import PlaceOf
from hub.dns.cli.runner import Runner
from hub.dns.comparison import FAMILIES, Report, Seen, compare
from hub.dns.questions import TIMEOUT_SECONDS, Reply, Server
from hub.dns.source import NoSource, add_source, state_of
from hub.dns.viewpoint import nearness_of, nobody_knows

PORT = 53


def add_check(verb: argparse.ArgumentParser) -> None:
    """Add its flags."""
    verb.add_argument("name", metavar="NAME", help="the shared name of the registry")
    verb.add_argument(
        "--server",
        required=True,
        type=_server,
        metavar="ADDRESS[:PORT]",
        help="the DNS server: an IP address, [in brackets] if an IPv6 one has a port",
    )
    add_source(verb)
    verb.add_argument(
        "--database", type=Path, metavar="FILE", help="the MaxMind DB that the server decides by"
    )
    verb.add_argument("--json", action="store_true", help="print a JSON document")
    verb.set_defaults(verb=run)


def run(arguments: argparse.Namespace, runner: Runner) -> int:
    """0 if all is as it should be, 1 if not, 2 if it can't be told."""
    return runner(_check(arguments))


async def _check(arguments: argparse.Namespace) -> int:
    name = arguments.name.rstrip(".").lower()
    try:
        state = await state_of(arguments, name)
        place_of = await asyncio.to_thread(_places, arguments.database)
    except (NoSource, DatabaseUnusable) as exc:
        print(f"proxima: {exc}", file=sys.stderr)
        return 2
    nearness = nearness_of(state, place_of)
    report = await asyncio.to_thread(compare, name, arguments.server, state, nearness)
    if arguments.json:
        print(json.dumps(_as_document(name, arguments.server, report), indent=2))
    else:
        print("\n".join(_as_text(name, report)))
    if not report.is_reachable:
        return 2
    return 0 if report.is_good else 1


def _places(database: Path | None) -> PlaceOf:
    """Raises: DatabaseUnusable."""
    if database is None:
        return nobody_knows
    locations = Locations(database)
    locations.open()
    return locations.place_of


def _server(text: str) -> Server:
    host, separator, port = text.rpartition(":")
    try:
        if separator and (host.startswith("[") or ":" not in host):
            return Server(ip_address(host.strip("[]")), _port(port), TIMEOUT_SECONDS)
        return Server(ip_address(text.strip("[]")), PORT, TIMEOUT_SECONDS)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(
            f"{text}: expected an IP address, or one and a port"
        ) from exc


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else 0
    if not 0 < port < 1 << 16:
        raise ValueError(text)
    return port


# --- for people -----------------------------------------------------------------------------------


def _as_text(name: str, report: Report) -> Iterator[str]:
    for each in report.seen:
        yield from _region_lines(each)
    for problem in report.problems:
        yield f"wrong: {problem}"
    for note in report.notes:
        yield f"note: {note}"
    if report.is_good:
        yield f"{name} is answered as it should be in {len(report.seen)} regions."


def _region_lines(seen: Seen) -> Iterator[str]:
    mark = "wrong" if seen.problems else "good"
    target = seen.expected.region.name
    goes = "" if target == seen.view.region.name else f" -> {target}"
    reason = f" ({seen.expected.reason})" if seen.expected.reason else ""
    yield f"{mark}: {seen.view.region.name}{goes}, asked for {seen.view.subnet}{reason}"
    for kind in FAMILIES:
        yield f"    {kind:4} {_reply_text(seen.replies[kind])}"
    for problem in seen.problems:
        yield f"    wrong: {problem}"
    for note in seen.notes:
        yield f"    note: {note}"


def _reply_text(reply: Reply) -> str:
    if not reply.values:
        return f"{reply.status}"
    scope = "no scope" if reply.scope is None else f"scope /{reply.scope}"
    return f"{' '.join(reply.values)}  (TTL {reply.ttl_seconds} s, {scope})"


# --- for programs ---------------------------------------------------------------------------------


def _as_document(name: str, server: Server, report: Report) -> dict[str, Any]:
    return {
        "name": name,
        "server": {"address": str(server.address), "port": server.port},
        "is_good": report.is_good,
        "is_reachable": report.is_reachable,
        "regions": [_region_document(each) for each in report.seen],
        "problems": list(report.problems),
        "notes": list(report.notes),
    }


def _region_document(seen: Seen) -> dict[str, Any]:
    expected = seen.expected
    return {
        "region": seen.view.region.name,
        "subnet": str(seen.view.subnet),
        "expected": {
            "region": expected.region.name,
            "reason": expected.reason or None,
            **{kind: list(expected.values(kind)) for kind in FAMILIES},
        },
        "answers": {kind: _reply_document(reply) for kind, reply in seen.replies.items()},
        "problems": list(seen.problems),
        "notes": list(seen.notes),
    }


def _reply_document(reply: Reply) -> dict[str, Any]:
    return {
        "status": str(reply.status),
        "values": list(reply.values),
        "ttl_seconds": reply.ttl_seconds,
        "scope": reply.scope,
        "detail": reply.detail or None,
    }
