"""`proxima dns` and its verbs."""

from hub.dns.cli.parser import main

__all__ = ["main"]
