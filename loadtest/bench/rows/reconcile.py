"""A comparison of very many tags of which none is otherwise: its requests, and its memory.

The region has a copy of the primary's tree, as after a move of its disk.
"""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from loadtest.bench.client import Client, Pushed
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.bench.rows.memory import sampled
from loadtest.bench.rows.start import fast_place
from loadtest.programs import ProgramFailed, Replica, StockRegistry
from loadtest.programs.settings import Sections
from loadtest.units import show_seconds

_REPOSITORIES = 100
_RATE_PER_SECOND = 500
_LIMIT_SECONDS = 300.0
_MIB = 2**20
_TREE = "docker/registry/v2"
_FINDINGS = ("changed", "missing", "gone", "incomplete")


class Reconcile:
    """The first round after a start, at a rate that a primary nearby may be asked at."""

    name = "reconcile"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the requests a second, and the growth of the resident memory."""
        with ExitStack() as stack:
            room = Path(stack.enter_context(TemporaryDirectory(dir=fast_place(lab.folder))))
            primary = StockRegistry(room / "primary", name="primary", logs_requests=True)
            with primary:
                pushed = Client(primary.url, _name(0)).push_image("t0", [])
            tree = room / "primary" / "data" / _TREE
            tags = _make_tags(tree / "repositories", pushed, lab.reconciled_tags)
            stack.enter_context(primary)
            replica = Replica(room / "replica", primary=primary.url, settings=_settings(room))
            shutil.copytree(tree, replica.store / _TREE)
            stack.enter_context(replica)
            before = replica.rss_bytes
            with sampled(replica) as samples:
                ended = replica.wait_for_event("reconcile.ended", _LIMIT_SECONDS)
            asked = primary.requests("HEAD", "/manifests/") + primary.requests("GET", "/v2/")
        if ended["tags"] != tags or any(ended[finding] for finding in _FINDINGS):
            raise ProgramFailed(f"the comparison was to find nothing in {tags} tags: {ended}")
        yield Measurement(
            f"{tags:,} tags compared, nothing to do: requests at the primary",
            asked.total() / ended["seconds"],
            at_most(_RATE_PER_SECOND, "/s"),
            f"{asked.total():,} within {show_seconds(ended['seconds'])}",
        )
        yield Measurement(
            f"{tags:,} tags compared, nothing to do: memory",
            (max(samples) - before) / _MIB,
            at_most(100, "MiB more"),
            f"{before / _MIB:,.0f} MiB before",
        )


def _settings(room: Path) -> Sections:
    secret = room / "sender-secret"
    secret.write_text(secrets.token_hex(32))
    return {
        "listen": {"notifications": ["127.0.0.1:0"]},
        "receiving": {"secret_file": str(secret)},
        "replication": {
            "source": "notifications",
            "backfill": "none",
            "reconcile_rate": _RATE_PER_SECOND,
        },
    }


def _name(number: int) -> str:
    return f"compared/r{number}"


def _make_tags(repositories: Path, pushed: Pushed, count: int) -> int:
    """Lay out a hundred repositories like the one there is, with so many tags; give the number."""
    first = repositories / _name(0)
    current = first / "_manifests" / "tags" / pushed.reference
    for number in range(1, count // _REPOSITORIES):
        shutil.copytree(current, current.with_name(f"t{number}"))
    for number in range(1, _REPOSITORIES):
        shutil.copytree(first, repositories / _name(number))
    return count // _REPOSITORIES * _REPOSITORIES
