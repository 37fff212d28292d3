"""`proxima explain`: asks the running replica over the control socket in its store."""

import argparse
import http.client
import json
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxy.cli import explain_client
from proxy.cli.settings import load_settings
from proxy.registry.layout import Layout
from proxy.web.control import short_address

TIMEOUT_SECONDS = 30.0


def run(arguments: argparse.Namespace, _runner: object) -> int:
    """Print what a pull of a reference would do: here, or of a client anywhere."""
    if arguments.client is not None:
        return explain_client.run(arguments)
    settings = load_settings(arguments)
    if settings is None:
        return 2
    path = Layout(settings.store.root).control_socket
    try:
        status, document = ask(path, f"/explain?reference={quote(arguments.reference, safe='')}")
    except (OSError, http.client.HTTPException) as exc:
        print(f"proxima: no replica answers at {path}: {exc}", file=sys.stderr)
        return 1
    if status != 200:
        print(f"proxima: {arguments.reference}: {document.get('error')}", file=sys.stderr)
        return 1
    print(json.dumps(document, indent=2) if arguments.json else as_text(document))
    return 0


def ask(path: Path, target: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
    """Send a request to a control socket; give the status and the document.

    Raises: OSError, http.client.HTTPException: nobody answers there.
    """
    connection = UnixConnection(path)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class UnixConnection(http.client.HTTPConnection):
    """A connection to a control socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_SECONDS)
        with short_address(self._path) as address:
            self.sock.connect(address)


def as_text(document: dict[str, Any]) -> str:
    """Give an explanation to read."""
    lines = [f"{document['repository']} {document['reference']}"]
    if document["digest"]:
        lines.append(f"  names      {document['digest']}")
    lines += [f"  {step}" for step in document["steps"]]
    lines += [f"  here       {digest}" for digest in document["present"]]
    lines += [f"  missing    {digest}" for digest in document["missing"]]
    lines += [f"  evicted    {digest}" for digest in document["evicted"]]
    lines += [f"  pinned     {digest}" for digest in document["pinned"]]
    lines += [f"  primary    {address}: {state}" for address, state in document["primary"].items()]
    return "\n".join(lines)
