"""Waits that go by the machine's clock, made short for tests that put their own forward."""

import pytest

from proxy.replication.pace import Pace


def make_brisk(patched: pytest.MonkeyPatch) -> None:
    """Let what waits by the machine's clock wait less."""

    def pace(*_: object, **__: object) -> Pace:
        return Pace(0.02, 0.1)

    for where in ("subscription", "lease"):
        patched.setattr(f"proxy.replication.{where}.Pace", pace)
    for name, seconds in {
        "proxy.replication.pace.REFUSED_SECONDS": 0.1,
        "proxy.replication.lease.LEAST_SECONDS": 0.05,
        "proxy.replication.reconcile.LOOK_EVERY_SECONDS": 0.02,
        "proxy.replication.backfill.LOOK_EVERY_SECONDS": 0.02,
        "proxy.replication.backfill.FIRST_RETRY_SECONDS": 0.05,
        "proxy.replication.backfill.LONGEST_RETRY_SECONDS": 0.1,
        "hub.subscription.feed.TICK_SECONDS": 0.005,
    }.items():
        patched.setattr(name, seconds)
