"""Who may do what: users with passwords and rights, as token servers and registries keep them."""

import fnmatch
from dataclasses import dataclass, field

ANY_ACTION = frozenset({"pull", "push", "delete"})
PULL = frozenset({"pull"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name with its password."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to do *actions* in repositories that match a pattern such as ``team/*``."""

    repositories: str
    actions: frozenset[str] = ANY_ACTION

    def covers(self, repository: str, action: str) -> bool:
        return action in self.actions and fnmatch.fnmatchcase(repository, self.repositories)


@dataclass(slots=True)
class Accounts:
    """Users, what each may do, and what everyone may do."""

    anonymous: tuple[Grant, ...] = ()
    _passwords: dict[str, str] = field(default_factory=dict)
    _grants: dict[str, tuple[Grant, ...]] = field(default_factory=dict)

    def add(self, username: str, password: str, *grants: Grant) -> Credentials:
        """Give the credentials of a new user, or of one whose password and rights are replaced."""
        self._passwords[username] = password
        self._grants[username] = grants
        return Credentials(username, password)

    def remove(self, username: str) -> None:
        """Forget a user and all its rights."""
        del self._passwords[username]
        del self._grants[username]

    def knows(self, credentials: Credentials) -> bool:
        return self._passwords.get(credentials.username) == credentials.password

    def may(self, username: str | None, repository: str, action: str) -> bool:
        """Tell whether a user (None: anybody) may do *action* there."""
        grants = self._grants.get(username, ()) if username is not None else ()
        return any(grant.covers(repository, action) for grant in (*self.anonymous, *grants))

    def credentials_of(self, username: str) -> Credentials:
        return Credentials(username, self._passwords[username])

    @property
    def credentials(self) -> tuple[Credentials, ...]:
        return tuple(Credentials(name, secret) for name, secret in self._passwords.items())
