"""Where a client goes, as a decision alone: how long it takes for one address."""

import json
from collections.abc import Iterator

from loadtest.bench.geography import DATABASE
from loadtest.bench.lab import Lab
from loadtest.bench.measurement import Measurement, at_most, for_comparison
from loadtest.programs.program import output_of, python_module

_SECONDS = 120.0


class Locating:
    """Ten thousand networks of all regions that are known by name, nested, and a database."""

    name = "locating"

    def measure(self, lab: Lab) -> Iterator[Measurement]:
        """Give the time by network, and by a database that has heard of the /24 or hasn't."""
        command = python_module("loadtest.bench.locating", str(DATABASE))
        found = json.loads(output_of(command, _SECONDS))
        beside = f"{found['networks']:,} networks of {found['regions']} regions"
        yield Measurement(
            "an address to regions in order, by network",
            found["network"] / 1000,
            at_most(10, "us"),
            beside,
        )
        yield Measurement(
            "an address to regions in order, by MaxMind DB",
            found["database"] / 1000,
            at_most(10, "us"),
            f"{beside}; the places of its /24s are kept",
        )
        yield Measurement(
            "the same, the first address of its /24",
            found["first"] / 1000,
            for_comparison("us"),
            "its record is decoded",
        )
