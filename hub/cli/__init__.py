"""`proxima hub` and its verbs."""

from hub.cli.parser import main

__all__ = ["main"]
