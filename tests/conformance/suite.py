"""The table of checks, run at a registry; results of several registries side by side."""

import enum
import http.client
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conformance import discovery, management, manifests, pulling, uploading
from tests.conformance.place import NAMESPACE, Place, Unsupported
from tests.conformance.pulling import Check
from tests.support.registry_client import RegistryClient

SECTIONS: Mapping[str, tuple[Check, ...]] = {
    "pull": pulling.CHECKS,
    "upload": uploading.CHECKS,
    "manifest": manifests.CHECKS,
    "discovery": discovery.CHECKS,
    "management": management.CHECKS,
}
CHECKS: Mapping[str, Check] = {
    f"{section}: {check.__name__}": check for section, all_ in SECTIONS.items() for check in all_
}


class Outcome(enum.Enum):
    """How a check went."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Result:
    """How a check went, and why it did not pass."""

    outcome: Outcome
    reason: str = ""


Column = Mapping[str, Result]


def run_suite(client: RegistryClient, origin: RegistryClient | None = None) -> Column:
    """Run every check at a registry.

    origin: where content is put that checks only read: the primary, for cold reads of a replica.
    """
    return {
        name: run_check(check, Place(client, origin or client, _repository(name)))
        for name, check in CHECKS.items()
    }


def run_check(check: Check, place: Place) -> Result:
    """Run one check."""
    try:
        check(place)
    except Unsupported as error:
        return Result(Outcome.UNSUPPORTED, str(error))
    except (AssertionError, OSError, http.client.HTTPException, LookupError, ValueError) as error:
        return Result(Outcome.FAILED, f"{type(error).__name__}: {error} ({_where(error)})")
    return Result(Outcome.PASSED)


def regressions(primary: Column, replica: Column) -> list[str]:
    """Name the checks that pass at the primary and not at the replica, or fail only there."""
    return [
        f"{name}: {primary[name].outcome.value} at the primary, {here.outcome.value} at the "
        f"replica ({here.reason})"
        for name, here in replica.items()
        if _is_worse(here.outcome, primary[name].outcome)
    ]


def failed(column: Column) -> set[str]:
    """Name the checks that failed."""
    return {name for name, result in column.items() if result.outcome is Outcome.FAILED}


def table(columns: Mapping[str, Column]) -> str:
    """Give the results side by side, with the reasons of failures below."""
    width = max(len(name) for name in CHECKS)
    head = f"{'check':{width}}" + "".join(f"  {title:>16}" for title in columns)
    lines = [head, *(_line(name, width, columns) for name in CHECKS)]
    failed = [
        f"{title}: {name}: {result.reason}"
        for title, column in columns.items()
        for name, result in column.items()
        if result.outcome is Outcome.FAILED
    ]
    return "\n".join([*lines, "", *failed])


def _line(name: str, width: int, columns: Mapping[str, Column]) -> str:
    cells = [f"  {column[name].outcome.value:>16}" for column in columns.values()]
    return f"{name:{width}}" + "".join(cells)


def _is_worse(replica: Outcome, primary: Outcome) -> bool:
    if primary is Outcome.PASSED:
        return replica is not Outcome.PASSED
    return primary is Outcome.UNSUPPORTED and replica is Outcome.FAILED


def _where(error: BaseException) -> str:
    """Give the line of the suite at which a check failed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "conformance" in frame.filename]
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}: {ours[-1].line}"


def _repository(name: str) -> str:
    return f"{NAMESPACE}/{name.replace(': ', '/').replace('_', '-')}"
