"""wrk: requests a second over a few connections that stay open."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtest.programs.program import ProgramFailed, output_of

_GRACE_SECONDS = 20.0
_SCRIPT = """\
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests":%.0f,"microseconds":%.0f,"bytes":%.0f,"errors":%.0f,"p50":%.0f,"p99":%.0f}\\n',
    summary.requests, summary.duration, summary.bytes,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What to ask for, again and again."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it was answered."""

    requests_per_second: float
    bytes_per_second: float
    p50_seconds: float
    p99_seconds: float


def drive(
    endpoint: Endpoint, connections: int, seconds: float, folder: Path, requests: str = ""
) -> Pace:
    """Ask *endpoint* over *connections* for *seconds*, from one thread.

    requests: Lua that makes each request, where they differ.

    Raises: ProgramFailed: any request failed, or none was answered.
    """
    script = folder / "report.lua"
    script.write_text(_SCRIPT + requests)
    headers = [
        part for name, text in endpoint.headers.items() for part in ("-H", f"{name}: {text}")
    ]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(script), *headers]
    output = output_of([*command, endpoint.url], seconds + _GRACE_SECONDS)
    said = json.loads(output.splitlines()[-1])
    if said["errors"] or not said["requests"]:
        raise ProgramFailed(f"{endpoint.url}: {said['errors']} errors, {said['requests']} answers")
    elapsed_seconds = said["microseconds"] / 1e6
    return Pace(
        said["requests"] / elapsed_seconds,
        said["bytes"] / elapsed_seconds,
        said["p50"] / 1e6,
        said["p99"] / 1e6,
    )
