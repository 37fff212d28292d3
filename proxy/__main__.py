"""The command `proxima`. uvloop's door: everything below runs on the loop it is given."""

import sys

import uvloop

from proxy.cli.parser import parse_arguments


def main() -> int:
    """Run one verb; give the exit status."""
    arguments = parse_arguments(sys.argv[1:])
    status: int = arguments.verb(arguments, uvloop.run)
    return status


if __name__ == "__main__":
    sys.exit(main())
