"""`proxima pin`, `unpin` and `pins`: what stays here whatever room is needed."""

import argparse
import http.client
import json
import sys
from typing import Any
from urllib.parse import quote

from proxy.cli.explain import ask
from proxy.cli.settings import load_settings
from proxy.registry.layout import Layout


def pin(arguments: argparse.Namespace, _runner: object) -> int:
    """Set a pin."""
    return _run(arguments, "PUT")


def unpin(arguments: argparse.Namespace, _runner: object) -> int:
    """Take a pin away."""
    return _run(arguments, "DELETE")


def pins(arguments: argparse.Namespace, _runner: object) -> int:
    """Print the pins."""
    return _run(arguments, "GET")


def _run(arguments: argparse.Namespace, method: str) -> int:
    settings = load_settings(arguments)
    if settings is None:
        return 2
    path = Layout(settings.store.root).control_socket
    reference = getattr(arguments, "reference", "")
    try:
        status, document = ask(path, f"/pins?reference={quote(reference, safe='')}", method)
    except (OSError, http.client.HTTPException) as exc:
        print(f"proxima: no replica answers at {path}: {exc}", file=sys.stderr)
        return 1
    if status != 200:
        print(f"proxima: {reference}: {document.get('error')}", file=sys.stderr)
        return 1
    print(json.dumps(document, indent=2) if arguments.json else as_text(document))
    return 0


def as_text(document: dict[str, Any]) -> str:
    """Give pins to read, a line each."""
    listed = document.get("pins")
    if listed is not None:
        return "\n".join(map(_line, listed)) or "nothing is pinned"
    return (
        _line(document) if "contents" in document else f"{document['pin']} is not pinned any more"
    )


def _line(pin: dict[str, Any]) -> str:
    if not pin["names"]:
        return f"{pin['pin']}: names nothing that is here yet"
    more = "" if pin["is_whole"] else ", and more once its manifests are here"
    return f"{pin['pin']}: {pin['contents']} contents{more}"
