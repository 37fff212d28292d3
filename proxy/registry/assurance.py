"""What else than age says that a tag is current: events of the primary, where there are any."""

from typing import Protocol

from proxy.oci.reference import Repository, Tag


class Assurance(Protocol):
    """What is known of events. All of it is plain and quick: it is asked at every pull of a tag.

    Times are the clock's `now`; `asked_at` is when the request started whose answer a tag's state
    is.
    """

    def is_live(self) -> bool:
        """Say whether every event up to a moment ago is known here."""
        ...

    def covers(self, asked_at: float) -> bool:
        """Say whether no event can have been missed since then."""
        ...

    def is_dirty(self, repository: Repository, tag: Tag, asked_at: float) -> bool:
        """Say whether an event told since then that the tag may have changed."""
        ...


class NoAssurance:
    """There are no events: age alone counts."""

    def is_live(self) -> bool:
        return False

    def covers(self, asked_at: float) -> bool:
        return False

    def is_dirty(self, repository: Repository, tag: Tag, asked_at: float) -> bool:
        return False
