"""Shows a command of an operator as it is typed, and what it prints."""

from loadtest.programs import Operator

_INDENT = "    "


class Shell:
    """A shell that knows the hub."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def open(self) -> None:
        """Show how a shell gets to know it."""
        for name, value in self._operator.variables.items():
            print(f"  $ export {name}={value}")

    def show(self, *arguments: str) -> None:
        """Show a verb that goes on by itself, less what says where it listens and keeps things."""
        print(f"  $ {self._operator.as_typed(*arguments)} ... &\n", flush=True)

    def run(self, *arguments: str) -> None:
        """Show a verb and what it prints, and a blank line.

        Raises: ProgramFailed
        """
        print(f"  $ {self._operator.as_typed(*arguments)}", flush=True)
        for line in self._operator.run(*arguments).splitlines():
            print(f"{_INDENT}{line}".rstrip())
        print(flush=True)
