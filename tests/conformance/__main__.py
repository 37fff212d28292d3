"""Run the suite at any registry: ``python -m tests.conformance URL [--user NAME:PASSWORD]``."""

import argparse
from pathlib import Path

from tests.conformance.suite import failed, run_suite, table
from tests.support.accounts import Credentials
from tests.support.registry_client import RegistryClient


def main() -> int:
    """Print the table and give 1 if a check failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("url", help="the registry, for instance http://127.0.0.1:5000")
    parser.add_argument("--user", help="NAME:PASSWORD of a user who may write conformance/**")
    parser.add_argument("--ca-file", type=Path, help="certificates that are trusted, PEM")
    arguments = parser.parse_args()
    credentials = _credentials(arguments.user)
    column = run_suite(RegistryClient(arguments.url, credentials, arguments.ca_file))
    print(table({arguments.url: column}))
    return 1 if failed(column) else 0


def _credentials(user: str | None) -> Credentials | None:
    if user is None:
        return None
    name, _, password = user.partition(":")
    return Credentials(name, password)


if __name__ == "__main__":
    raise SystemExit(main())
