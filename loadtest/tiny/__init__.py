"""A registry made of a dictionary, with tokens, that counts what it is asked."""

from loadtest.tiny.content import Content, Stored
from loadtest.tiny.registry import TinyRegistry

__all__ = ["Content", "Stored", "TinyRegistry"]
