r"""A locust user that pulls as containerd does; also a locustfile of its own.

    locust -f loadtest/containerd.py --headless --host http://127.0.0.1:5001 \
        --reference library/app:1.0 --users 8 --run-time 30s

Every pull is that of a node which has nothing of the image and no token yet.
"""

import time
from typing import Any

import gevent
from locust import FastHttpUser, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtest.login import Login
from loadtest.pull import ImageName, ImagePull
from loadtest.wire import PullFailed, Wire

# The whole pull, reported beside its requests.
PULL = ("PULL", "image")

_AFTER_FAILURE_SECONDS = 0.5  # a refused connection takes no time: don't fill the report with them


def add_options(parser: LocustArgumentParser, **_: Any) -> None:
    """Add what to pull to a command line of locust's."""
    parser.add_argument(
        "--reference",
        env_var="LOADTEST_REFERENCE",
        default="",
        metavar="NAME:TAG",
        help="the image to pull, or NAME@DIGEST",
    )
    parser.add_argument(
        "--login",
        env_var="LOADTEST_LOGIN",
        default="",
        metavar="NAME:PASSWORD",
        is_secret=True,
        help="as whom to pull (default: anonymous)",
    )
    parser.add_argument(
        "--platform",
        env_var="LOADTEST_PLATFORM",
        default="linux/amd64",
        metavar="OS/ARCH",
        help="what to take from an index (default: linux/amd64)",
    )
    parser.add_argument(
        "--namespace",
        env_var="LOADTEST_NAMESPACE",
        default="",
        metavar="HOST",
        help="send ns=HOST, as containerd does to a mirror of HOST",
    )


events.init_command_line_parser.add_listener(add_options)  # type: ignore[no-untyped-call]


class ContainerdUser(FastHttpUser):
    """A node: pulls the image again and again, each time from nothing."""

    wait_time = constant(0)

    def __init__(self, environment: Environment) -> None:
        self.default_headers = {"User-Agent": "proxima-loadtest (as containerd)"}
        super().__init__(environment)
        options = environment.parsed_options
        if options is None:
            raise ValueError("what to pull comes with the environment's parsed_options")
        self._name = ImageName.parse(options.reference, options.platform, options.namespace)
        self._login = Login.parse(options.login)
        self._wire = Wire(self.client)

    @task
    def pull(self) -> None:
        """Pull the image, and report the whole as one."""
        started = time.perf_counter()
        problem: PullFailed | None = None
        try:
            ImagePull(self._wire, self.host or "", self._name, self._login).run()
        except PullFailed as error:
            problem = error
        method, name = PULL
        self.environment.events.request.fire(
            request_type=method,
            name=name,
            response_time=(time.perf_counter() - started) * 1000,
            response_length=0,  # its requests have counted their bytes
            exception=problem,
            context={},
        )
        if problem is not None:
            gevent.sleep(_AFTER_FAILURE_SECONDS)
