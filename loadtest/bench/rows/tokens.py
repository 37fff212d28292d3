"""A fleet over TLS, each node with a token of its own: what the primary is asked for it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_most
from loadtest.login import Login
from loadtest.programs import Certificate, ProgramFailed, Replica, TinyPrimary
from loadtest.programs.program import environment, python_module
from loadtest.tiny.fixed import REPOSITORY, TAG

_LOGIN = Login("bench", "throwaway")
_NODES = 200
_SECONDS = 8
_LIMIT_SECONDS = 90


class Tokens:
    """One node pulls first; then 200 nodes pull, each with a token for each pull, one user."""

    name = "tokens"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the authentication requests at the primary, and all it was asked by pulls 2..n."""
        room = lab.room(self.name)
        with ExitStack() as stack:
            primary = stack.enter_context(TinyPrimary(room, login=_LOGIN))
            certificate = Certificate.make(room / "tls")
            replica = stack.enter_context(
                Replica(room, primary=primary.url, certificate=certificate)
            )
            _pull(replica.url, nodes=1, seconds=1)
            first = primary.counts()
            pulls = _pull(replica.url, nodes=_NODES, seconds=_SECONDS)
            last = primary.counts()
        asked = sum(last.values()) - sum(first.values())
        yield Measurement(
            f"{_NODES} nodes over TLS, a token for each pull: tokens asked of the primary",
            last["token"],
            at_most(2, "in all"),
            f"{pulls} pulls in {_SECONDS} s; {last.get('refused', 0)} requests were challenged",
        )
        yield Measurement(
            f"{_NODES} nodes over TLS, a token for each pull: round trips of pulls 2..n",
            asked,
            at_most(0, "in all"),
            f"whatever the primary was asked within {_SECONDS} s",
        )


def _pull(target: str, nodes: int, seconds: int) -> int:
    """Pull with *nodes* for *seconds*; give the number of pulls.

    Raises: ProgramFailed: a request failed.
    """
    command = python_module(
        "loadtest.load", "--target", target, "--reference", f"{REPOSITORY}:{TAG}", "--json",
        "--users", str(nodes), "--duration", f"{seconds}s",
        "--user", f"{_LOGIN.username}:{_LOGIN.password}",
    )  # fmt: skip
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise ProgramFailed(f"pulls failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return int(json.loads(done.stdout)["pulls"])
