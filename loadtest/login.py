"""A user of a registry."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Login:
    """User name and password."""

    username: str
    password: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read `name:password`; an empty text is nobody."""
        username, _, password = text.partition(":")
        return cls(username, password) if username else None

    @property
    def basic(self) -> str:
        """Give it as an Authorization header."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {b64encode(pair).decode()}"
