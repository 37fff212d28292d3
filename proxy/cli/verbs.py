"""`proxima verify`, `gc`, `purge`, `prefetch` and `export`: through the replica that runs on the
store, else here under the store's lock; `export` only reads, and always runs here.
"""

import argparse
import http.client
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from proxy.app.verbs import verbs_alone
from proxy.cli.display import Display, Json, Text
from proxy.cli.explain import UnixConnection
from proxy.cli.settings import load_settings
from proxy.oci.errors import RegistryError
from proxy.registry.export import Exporter
from proxy.registry.layout import Layout
from proxy.registry.orders import GRACE_SECONDS, Order
from proxy.registry.sqlite_file import SchemaTooNew
from proxy.registry.tree import StoreInUse

Runner = Callable[[Coroutine[Any, Any, int]], int]


class Failed(Exception):
    """A verb couldn't be done; the message is for the operator."""


def run(arguments: argparse.Namespace, runner: Runner) -> int:
    """Do the verb; 0 if all is good, 1 if something isn't, 2 if it can't be done like that."""
    layout = _layout(arguments)
    if layout is None:
        return 2
    display = Json() if arguments.json else Text(sys.stdout, sys.stderr)
    try:
        return _run(arguments, layout, display, runner)
    except (Failed, RegistryError, StoreInUse, SchemaTooNew, OSError) as exc:
        display.end()
        cause = f": {exc.__cause__}" if exc.__cause__ else ""
        print(f"proxima: {arguments.name}: {exc}{cause}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        display.end()
        return 130


def _run(arguments: argparse.Namespace, layout: Layout, display: Display, runner: Runner) -> int:
    if arguments.name == "export":
        return _show(_exported(arguments, layout), display)
    order = order_of(arguments)
    connection = UnixConnection(layout.control_socket)
    try:
        connection.connect()
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        connection.close()
        if arguments.name == "prefetch":
            raise Failed(f"no replica answers at {layout.control_socket}") from None
        return runner(_alone(arguments.name, layout.root, order, display))
    try:
        return _show(_asked(connection, arguments.name, order), display)
    finally:
        connection.close()


def _layout(arguments: argparse.Namespace) -> Layout | None:
    """Give where the store is: a named one needs no other settings. None after saying why not."""
    root = getattr(arguments, "store.root")
    if root is None or arguments.config is not None:
        settings = load_settings(arguments)
        root = settings.store.root if settings is not None else None
    if root is None:
        return None
    layout = Layout(Path(root))
    if not layout.registry.is_dir():
        print(f"proxima: {layout.root} is no store", file=sys.stderr)
        return None
    return layout


def order_of(arguments: argparse.Namespace) -> Order:
    """Give the order that a command line makes."""
    return Order(
        references=tuple(getattr(arguments, "references", ())),
        platforms=tuple(getattr(arguments, "platforms", ())),
        is_repair=getattr(arguments, "repair", False),
        is_dry_run=getattr(arguments, "dry_run", False),
        grace_seconds=getattr(arguments, "grace", GRACE_SECONDS),
    )


# --- the three ways -------------------------------------------------------------------------------


def _asked(
    connection: http.client.HTTPConnection, name: str, order: Order
) -> Iterator[dict[str, Any]]:
    """Give the events of a verb that the running replica does."""
    try:
        connection.request("POST", f"/verbs/{name}?{urlencode(order.as_pairs())}")
        answer = connection.getresponse()
        if answer.status != 200:
            raise Failed(json.loads(answer.read()).get("error", f"status {answer.status}"))
        for line in answer:
            if line.strip():
                yield json.loads(line)
    except (http.client.HTTPException, ValueError) as exc:
        raise Failed("the replica broke off") from exc


async def _alone(name: str, root: Path, order: Order, display: Display) -> int:
    status = 1
    async with verbs_alone(root) as verbs, aclosing(verbs[name](order)) as events:
        async for event in events:
            document = event.as_document()
            display.show(document)
            status = _status(document)
    display.end()
    return status


def _exported(arguments: argparse.Namespace, layout: Layout) -> Iterator[dict[str, Any]]:
    target = Path(arguments.folder).absolute()
    root = layout.root.absolute()
    if target.is_relative_to(root) or root.is_relative_to(target):
        raise Failed(f"{target} and the store lie in each other")
    for event in Exporter(layout, Layout(target)).run():
        yield event.as_document()


def _show(events: Iterator[dict[str, Any]], display: Display) -> int:
    status: int | None = None
    for document in events:
        if document["event"] == "error":
            raise Failed(document["message"])
        display.show(document)
        status = _status(document)
    display.end()
    if status is None:
        raise Failed("the replica broke off")
    return status


def _status(document: dict[str, Any]) -> int:
    return 0 if document["event"] == "result" and document["good"] else 1
