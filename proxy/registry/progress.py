"""What a verb tells while it runs: how far it is, what it finds and does, and how it ended."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum

Document = dict[str, object]


class Problem(StrEnum):
    """What can be wrong in a tree."""

    WRONG_BYTES = "wrong_bytes"
    UNREADABLE = "unreadable"
    BAD_LINK = "bad_link"
    BAD_MANIFEST = "bad_manifest"
    DANGLING_TAG = "dangling_tag"
    STRAY = "stray"


class Deed(StrEnum):
    """What was done about one thing, or would be."""

    REMOVED = "removed"
    WOULD_REMOVE = "would_remove"
    FETCHED = "fetched"
    HERE = "here"
    SKIPPED = "skipped"
    FAILED = "failed"
    ADOPTED = "adopted"
    EXPORTED = "exported"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verb is; a *total* of 0 isn't known. Units: *unit* says which."""

    done: int
    total: int
    unit: str
    what: str

    def as_document(self) -> Document:
        """Give a JSON document."""
        return {
            "event": "progress",
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "what": self.what,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong; *where* is a digest, a tag or a path below the store."""

    problem: Problem
    where: str
    detail: str = ""
    is_repaired: bool = False

    def as_document(self) -> Document:
        """Give a JSON document."""
        return {
            "event": "finding",
            "problem": self.problem,
            "where": self.where,
            "detail": self.detail,
            "repaired": self.is_repaired,
        }


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that was dealt with."""

    deed: Deed
    what: str
    size_bytes: int = 0
    detail: str = ""

    def as_document(self) -> Document:
        """Give a JSON document."""
        return {
            "event": "done",
            "deed": self.deed,
            "what": self.what,
            "bytes": self.size_bytes,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """How a verb ended, always the last event: good or not, and its numbers."""

    is_good: bool
    numbers: dict[str, int | float]

    def as_document(self) -> Document:
        """Give a JSON document."""
        return {"event": "result", "good": self.is_good, **self.numbers}


Event = Progress | Finding | Done | Result
Events = AsyncGenerator[Event]
