"""The replica: one region's pull proxy in front of a primary registry."""

__version__ = "0.1.0"
