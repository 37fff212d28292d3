"""What a verb is asked to do, as one value that also travels over the control socket."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from proxy.oci.errors import BadRequest

GRACE_SECONDS = 3600.0

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Order:
    """The arguments of any verb; each looks at its own.

    grace_seconds: how old bytes without a link must be before they are collected.
    """

    references: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    is_repair: bool = False
    is_dry_run: bool = False
    grace_seconds: float = GRACE_SECONDS

    def as_pairs(self) -> Pairs:
        """Give it as the pairs of a query."""
        pairs: Pairs = [("references", each) for each in self.references]
        pairs += [("platforms", each) for each in self.platforms]
        pairs.append(("is_repair", str(int(self.is_repair))))
        pairs.append(("is_dry_run", str(int(self.is_dry_run))))
        pairs.append(("grace_seconds", repr(self.grace_seconds)))
        return pairs

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[str, str]]) -> "Order":
        """Read the pairs of a query.

        Raises: BadRequest: an argument that no verb has, or a number that is none.
        """
        found: dict[str, list[str]] = {field.name: [] for field in fields(cls)}
        for name, value in pairs:
            if name not in found:
                raise BadRequest(f"no verb takes {name}")
            found[name].append(value)
        try:
            grace_seconds = float((found["grace_seconds"] or [str(GRACE_SECONDS)])[-1])
        except ValueError as exc:
            raise BadRequest("grace_seconds is no number") from exc
        if not 0 <= grace_seconds < float("inf"):
            raise BadRequest("grace_seconds is not positive")
        return cls(
            tuple(found["references"]),
            tuple(found["platforms"]),
            found["is_repair"][-1:] == ["1"],
            found["is_dry_run"][-1:] == ["1"],
            grace_seconds,
        )
