"""Questions a second through PowerDNS: our decision, and PowerDNS's own geographic backend."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from loadtest.bench.geography import DATABASE, DOMAIN, PLACES, running
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, for_comparison
from loadtest.programs import PowerDns, ProgramFailed
from loadtest.programs.program import output_of

_CLIENTS = 4
_OUTSTANDING = 100
_PATIENCE_SECONDS = 60.0
_PACE = re.compile(r"Queries per second:\s+([0-9.]+)")
_LOST = re.compile(r"Queries lost:\s+([0-9]+)")
_GEOIP = """\
launch=geoip
geoip-zones-file={zones}
geoip-database-files=mmdb:{database}
edns-subnet-processing=yes
"""
# Every country has the same region: what is compared is the way of a question.
_ZONES = """\
domains:
  - domain: {domain}
    ttl: 2
    records:
      {domain}:
        - soa: ns1.bench.test hostmaster.{domain} 1 7200 3600 86400 60
        - ns: ns1.bench.test
      unknown.at.{domain}:
        - a: {address}
      gb.at.{domain}:
        - a: {address}
    services:
      {domain}: '%cc.at.{domain}'
"""


class Questions:
    """dnsperf asks for the shared name's address, as fast as answers come."""

    name = "dns"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the ratio of both; they take turns."""
        room = lab.room(self.name)
        questions = room / "questions"
        questions.write_text(f"{DOMAIN} A\n")
        ours: list[float] = []
        theirs: list[float] = []
        with ExitStack() as stack:
            geography = stack.enter_context(running(room / "ours"))
            other = stack.enter_context(_geoip(room / "geoip"))
            for _ in range(lab.rounds):
                ours.append(_pace(geography.server, questions, lab.window_seconds))
                theirs.append(_pace(other, questions, lab.window_seconds))
        yield Measurement(
            "questions a second by PowerDNS: remote backend to geoip backend",
            median(ours) / median(theirs),
            for_comparison(),
            f"{median(ours):,.0f} /s with `proxima dns serve` beside it,"
            f" {median(theirs):,.0f} /s with its geoip backend; one thread receives in both",
        )


def _geoip(folder: Path) -> PowerDns:
    folder.mkdir(parents=True)
    zones = folder / "zones.yaml"
    zones.write_text(_ZONES.format(domain=DOMAIN, address=PLACES[0].address))
    (folder / "pdns.conf").write_text(_GEOIP.format(zones=zones, database=DATABASE))
    return PowerDns(folder, folder, name="geoip")


def _pace(server: PowerDns, questions: Path, seconds: float) -> float:
    host, port = server.listens
    command = ["dnsperf", "-s", host, "-p", str(port), "-d", str(questions)]
    command += ["-c", str(_CLIENTS), "-q", str(_OUTSTANDING), "-l", f"{max(1, round(seconds))}"]
    said = output_of(command, _PATIENCE_SECONDS)
    found, lost = _PACE.search(said), _LOST.search(said)
    if found is None or lost is None or "NOERROR" not in said:
        raise ProgramFailed(f"dnsperf: {said}")
    if int(lost[1]) > 0:
        raise ProgramFailed(f"dnsperf: {lost[1]} questions got no answer")
    return float(found[1])
