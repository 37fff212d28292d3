"""The demo's table: a line for each step, printed when the step has ended."""

from dataclasses import dataclass

from loadtest.demo.promise import Cost, Promise
from loadtest.units import show_bytes, show_seconds

_LINE = "  {step:<40} {seconds:>8} {ratio:>10} {link:>14}   {promise}"


@dataclass(frozen=True, slots=True)
class Row:
    """A step that has ended."""

    step: str
    cost: Cost
    promise: Promise | None = None
    direct: Cost | None = None
    """What a pull straight from the primary cost, where that can be compared."""

    @property
    def ratio(self) -> str:
        """Its time to that of the direct pull."""
        return f"{self.cost.seconds / self.direct.seconds:.2f}x" if self.direct else ""


class Table:
    """Rows, printed as they come."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def open(self) -> None:
        """Print the head."""
        self._print("step", "time", "to direct", "over the link", "promise")
        self._print("-" * 40, "-" * 8, "-" * 10, "-" * 14, "-" * 44)

    def add(self, row: Row) -> None:
        """Print *row*."""
        self._rows.append(row)
        promise = ""
        if row.promise is not None:
            promise = f"{'kept' if row.promise.is_kept else 'BROKEN'}: {row.promise.text}"
        link = show_bytes(row.cost.down_bytes + row.cost.up_bytes)
        self._print(row.step, show_seconds(row.cost.seconds), row.ratio, link, promise)

    @property
    def broken(self) -> list[Row]:
        """The rows whose promise isn't kept."""
        return [row for row in self._rows if row.promise is not None and not row.promise.is_kept]

    def _print(self, step: str, seconds: str, ratio: str, link: str, promise: str) -> None:
        line = _LINE.format(step=step, seconds=seconds, ratio=ratio, link=link, promise=promise)
        print(line.rstrip(), flush=True)
