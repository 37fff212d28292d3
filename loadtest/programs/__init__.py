"""The programs that the demo and the benchmarks run, each ended with its context."""

from loadtest.programs.certificate import Certificate
from loadtest.programs.dns import DnsProgram, PowerDns, Zone
from loadtest.programs.hub import Hub, joining, new_secret
from loadtest.programs.link import LinkProgram
from loadtest.programs.nginx import Nginx
from loadtest.programs.operator import Operator
from loadtest.programs.program import Program, ProgramFailed
from loadtest.programs.registry import StockRegistry
from loadtest.programs.replica import Join, Replica
from loadtest.programs.skopeo import Skopeo
from loadtest.programs.tiny import TinyPrimary

__all__ = [
    "Certificate",
    "DnsProgram",
    "Hub",
    "Join",
    "LinkProgram",
    "Nginx",
    "Operator",
    "PowerDns",
    "Program",
    "ProgramFailed",
    "Replica",
    "Skopeo",
    "StockRegistry",
    "TinyPrimary",
    "Zone",
    "joining",
    "new_secret",
]
