"""Which verbs there are and what they take."""

import argparse
from collections.abc import Sequence

from config import DnsSettings, add_flags
from hub.dns.cli import check, export, serve
from hub.dns.cli.runner import Runner


def main(argv: Sequence[str], runner: Runner) -> int:
    """Do what a command line after `proxima dns` says; give the exit status."""
    arguments = _parser().parse_args(argv)
    status: int = arguments.verb(arguments, runner)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="proxima dns", description="Where clients go, told by DNS servers."
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_serve(verbs.add_parser("serve", help="decide for the PowerDNS beside this process"))
    export.add_export(
        verbs.add_parser("export", help="write each region's records for other DNS servers")
    )
    check.add_check(
        verbs.add_parser("check", help="say what a DNS server answers in each region, and what not")
    )
    return parser


def _add_serve(verb: argparse.ArgumentParser) -> None:
    add_flags(verb, DnsSettings)
    verb.set_defaults(verb=serve.run)
