"""The composition root: settings in, a replica out. Nothing else knows how the parts fit."""

from proxy.app.probe import ProbeReport, probe
from proxy.app.replica import Replica

__all__ = ["ProbeReport", "Replica", "probe"]
