"""Who operates a hub: the command `proxima`, as typed in a shell that knows the hub."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

from loadtest.programs.program import ProgramFailed, environment, python_module, tied

_VERB_SECONDS = 120.0


class Operator:
    """Runs verbs against one hub; *token_file* has a token of its operators."""

    def __init__(self, hub_url: str, token_file: Path) -> None:
        self.variables: dict[str, str] = {
            "PROXIMA_HUB_URL": hub_url,
            "PROXIMA_HUB_TOKEN_FILE": str(token_file),
        }

    @staticmethod
    def as_typed(*arguments: str) -> str:
        """Give the command line of a verb."""
        return shlex.join(("proxima", *arguments))

    def run(self, *arguments: str) -> str:
        """Run a verb; give what it prints, less the last line's end.

        Raises: ProgramFailed: it refuses, or doesn't end.
        """
        command = tied(python_module("proxy", *arguments))
        typed = self.as_typed(*arguments)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                env=environment() | self.variables,
                timeout=_VERB_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ProgramFailed(f"{typed}: no end in {_VERB_SECONDS:.0f} s") from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise ProgramFailed(f"{typed} ended with {done.returncode}: {said}")
        return done.stdout.rstrip("\n")

    def ask(self, *arguments: str) -> Any:
        """Run a verb with --json; give the document that it prints.

        Raises: ProgramFailed
        """
        return json.loads(self.run(*arguments, "--json"))

    def create_replica(self, region: str, token_file: Path) -> str:
        """Make the replica instance of *region*, its join token in a new file; give its id.

        Raises: ProgramFailed
        """
        create = ("replicas", "create", "--region", region, "--write-token", str(token_file))
        created: str = self.ask(*create)["id"]
        return created
