"""Pulls one image with many nodes at once and reports: `python -m loadtest.load --help`."""

import argparse
import sys
import time

import gevent
from locust.env import Environment

from loadtest.containerd import ContainerdUser
from loadtest.pull import ImageName
from loadtest.report import Report
from loadtest.units import parse_seconds

_FINISH_SECONDS = 15.0  # for pulls under way when the time is over
_MAX_SECONDS = 3_600.0


def main() -> int:
    """Run it; give the exit status: 0 if at least one pull and no request failed."""
    options = _parser().parse_args()
    report = run(options)
    print(report.json() if options.json else report.text())
    if report.pulls == 0:
        print("No pull was completed.", file=sys.stderr)
    return 0 if report.pulls and not report.failures else 1


def run(options: argparse.Namespace) -> Report:
    """Pull with all users for the time that is asked, let them finish, and give the report."""
    environment = Environment(
        user_classes=[ContainerdUser],
        host=options.target,
        stop_timeout=_FINISH_SECONDS,
        catch_exceptions=False,  # a mistake of ours ends its user instead of being repeated
        parsed_options=options,
    )
    runner = environment.create_local_runner()
    started = time.monotonic()
    runner.start(options.users, spawn_rate=options.users)
    gevent.sleep(min(options.duration, _MAX_SECONDS))
    runner.quit()
    return Report(environment.stats, time.monotonic() - started)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.load",
        description="Pull an image as containerd does, with many nodes that have nothing yet.",
    )
    parser.add_argument("--target", type=_url, required=True, help="URL of the registry")
    parser.add_argument("--reference", type=_reference, required=True, metavar="NAME:TAG")
    parser.add_argument("--users", type=_users, default=4, metavar="N", help="nodes at once")
    parser.add_argument("--duration", type=parse_seconds, default=30.0, metavar="30s")
    parser.add_argument("--user", dest="login", default="", metavar="NAME:PASSWORD")
    parser.add_argument("--platform", default="linux/amd64", metavar="OS/ARCH")
    parser.add_argument("--namespace", default="", metavar="HOST", help="send ns=HOST")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL such as http://127.0.0.1:5001")
    return text.rstrip("/")


def _reference(text: str) -> str:
    ImageName.parse(text)
    return text


def _users(text: str) -> int:
    users = int(text)
    if users < 1:
        raise argparse.ArgumentTypeError("at least one user")
    return users


if __name__ == "__main__":
    sys.exit(main())
